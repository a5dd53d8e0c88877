//! A script for iPXE that is as long as one wants.

/// What one part of the script is about.
const PART: usize = 1 << 20;

/// A script whose last step is to load a file. The words of that file's name are spread all over the
/// script, so only a machine that has the whole of it, in order, asks for the right one.
pub(crate) struct LargeScript {
    pub(crate) text: Vec<u8>,
    pub(crate) last_file: String,
}

impl LargeScript {
    /// A script of `size` bytes.
    pub(crate) fn new(size: usize) -> LargeScript {
        let mut random = testkit::bytes(size / 2).into_iter().map(|byte| format!("{byte:02x}"));
        let mut hex = |bytes: usize| -> String { random.by_ref().take(bytes).collect() };
        let mut text = String::from("#!ipxe\n");
        let mut last_file = String::from("words");
        while text.len() + PART < size {
            let word = hex(2);
            text += &format!("set words ${{words}}-{word}\n");
            last_file += &format!("-{word}");
            let end = text.len() + PART - 100;
            while text.len() < end {
                text += &format!("# {}\n", hex(40));
            }
        }
        // `reboot` ends QEMU, which was told not to.
        let end = "imgfetch tftp://${next-server}/words${words}\nreboot\n";
        let comment = size - text.len() - end.len() - "#\n".len();
        text += &format!("#{}\n{end}", "-".repeat(comment));
        assert_eq!(text.len(), size);
        LargeScript { text: text.into_bytes(), last_file }
    }
}
