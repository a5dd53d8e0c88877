//! Messages on standard error.

use std::fmt;

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

use crate::exit::plain;

/// Writes a field of a message to standard error. A name from a client or a disk may have any
/// characters in it, and must not end the line or move the cursor.
pub(crate) fn write_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn fmt::Debug,
) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{field}=")?;
    }
    for character in plain(&format!("{value:?}")).chars() {
        match character {
            character if character.is_control() => {
                write!(writer, "{}", character.escape_default())?;
            }
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                write!(writer, "{}", character.escape_unicode())?;
            }
            character => writer.write_char(character)?,
        }
    }
    Ok(())
}
