//! A bounded mailbox in which new messages take the place of the oldest.

use crossbeam_channel::{Receiver, Sender, TrySendError};

/// The way into a mailbox. It ends with the last of its clones.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    sender: Sender<T>,
    /// By which the oldest message is taken out again.
    oldest: Receiver<T>,
}

impl<T> Mailbox<T> {
    /// Makes a mailbox for at most so many messages, and its other end.
    pub(crate) fn new(most: usize) -> (Mailbox<T>, Receiver<T>) {
        let (sender, receiver) = crossbeam_channel::bounded(most);
        (Mailbox { sender, oldest: receiver.clone() }, receiver)
    }

    /// Adds a message. Returns those that had to make room for it, the oldest.
    pub(crate) fn push(&self, message: T) -> Vec<T> {
        let (mut message, mut evicted) = (message, Vec::new());
        while let Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) =
            self.sender.try_send(message)
        {
            message = back;
            evicted.extend(self.oldest.try_recv());
        }
        evicted
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        Mailbox { sender: self.sender.clone(), oldest: self.oldest.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_the_others_come_in_order() {
        let (mailbox, messages) = Mailbox::new(3);
        let evicted: Vec<Vec<u8>> = (0..5).map(|number| mailbox.push(number)).collect();
        assert_eq!(evicted, [vec![], vec![], vec![], vec![0], vec![1]]);
        assert_eq!(messages.try_iter().collect::<Vec<u8>>(), [2, 3, 4]);
        drop(mailbox);
        assert!(messages.recv().is_err(), "nobody writes any more");
    }
}
