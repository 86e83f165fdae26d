//! How many attempts, and how many cursors, the recorder writes in one statement.

/// Rows of one kind in one statement, which must end well within `statement_timeout`.
const MAX_ROWS: usize = 2048;
/// Bytes of these rows.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The size of a statement. It is halved when a statement fails because of its size, and grows again
/// with every one that succeeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    rows: usize,
    bytes: usize,
}

impl Portion {
    /// As much as there may be at most.
    pub(super) const WHOLE: Self = Self { rows: MAX_ROWS, bytes: MAX_BYTES };

    /// Returns how many of these rows make one statement: at least one, if there is any.
    pub(super) fn of<T>(self, rows: &[T], bytes: impl Fn(&T) -> usize) -> usize {
        let mut room = self.bytes;
        let fitting = rows.iter().take(self.rows).take_while(|row| {
            let rest = room.checked_sub(bytes(row));
            room = rest.unwrap_or(room);
            rest.is_some()
        });
        fitting.count().max(1).min(rows.len())
    }

    /// Makes it half as large. Returns false if it is one row already.
    pub(super) fn halve(&mut self) -> bool {
        let halved = self.rows > 1;
        *self = Self { rows: (self.rows / 2).max(1), bytes: self.bytes / 2 };
        halved
    }

    /// Makes it twice as large, up to the whole.
    pub(super) fn grow(&mut self) {
        *self = Self { rows: (self.rows * 2).min(MAX_ROWS), bytes: (self.bytes * 2).clamp(1, MAX_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_has_so_many_rows_and_bytes_and_at_least_one() {
        let portion = Portion { rows: 3, bytes: 10 };
        for (rows, count) in
            [(&[][..], 0), (&[1], 1), (&[1, 1, 1, 1], 3), (&[5, 5, 1], 2), (&[11, 1], 1), (&[9, 2], 1)]
        {
            assert_eq!(portion.of(rows, |bytes| *bytes), count, "{rows:?}");
        }
    }

    #[test]
    fn it_is_halved_down_to_one_row_and_grows_again() {
        let mut portion = Portion::WHOLE;
        let mut halvings = 0;
        while portion.halve() {
            halvings += 1;
        }
        assert_eq!((portion.rows, halvings), (1, MAX_ROWS.ilog2()));
        assert_eq!(portion.of(&[7, 7], |bytes| *bytes), 1);
        for _ in 0..64 {
            portion.halve();
        }
        for _ in 0..64 {
            portion.grow();
        }
        assert_eq!((portion.rows, portion.bytes), (MAX_ROWS, MAX_BYTES));
    }
}
