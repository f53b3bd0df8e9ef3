//! How readers get at the board: the current one at any time, and word of every new one.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::board::Board;

/// The writing side; one owner.
#[derive(Debug)]
pub struct BoardPublisher {
    current: Arc<ArcSwap<Board>>,
    sequence: watch::Sender<u64>,
}

/// The reading side; clone it freely.
#[derive(Clone, Debug)]
pub struct BoardWatch {
    current: Arc<ArcSwap<Board>>,
    sequence: watch::Receiver<u64>,
}

/// A publisher with its first board, and a reader.
pub fn board_channel(first: Board) -> (BoardPublisher, BoardWatch) {
    let (sequence, receiver) = watch::channel(first.sequence);
    let current = Arc::new(ArcSwap::from_pointee(first));
    (BoardPublisher { current: Arc::clone(&current), sequence }, BoardWatch { current, sequence: receiver })
}

impl BoardPublisher {
    /// Swaps the board and wakes the readers.
    pub fn publish(&self, board: Board) {
        let sequence = board.sequence;
        self.current.store(Arc::new(board));
        self.sequence.send_replace(sequence);
    }
}

impl BoardWatch {
    /// The board as it is now; never waits.
    pub fn current(&self) -> Arc<Board> {
        self.current.load_full()
    }

    /// Waits for a board newer than the one last waited for (or than the one at the time of cloning)
    /// and returns it; boards in between are skipped. `None` once the collector has ended.
    pub async fn changed(&mut self) -> Option<Arc<Board>> {
        self.sequence.changed().await.ok()?;
        Some(self.current())
    }
}
