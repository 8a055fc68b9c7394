//! What passes for a card number.
//!
//! | digits | taken for a card number |
//! |---|---|
//! | 13 to 19 that stand alone, or in groups as numbers are printed (4-4-4-4, 4-6-5, 4-6-4) | with a right check digit |
//! | as many inside of more digits, behind or before letters, or in other groups | with a right check digit, and the first digits and the length of a network's |
//! | as many with a loose separator between any of their groups | the same, and in groups as numbers are printed |
//! | a time in milliseconds, microseconds or nanoseconds: 13, 16 or 19 that begin with 1, as no network's numbers do | never as a whole, nor two of them in a row |
//! | inside of a UUID | never; what begins in one and goes on behind it may be |
//!
//! Groups are separated by one space (an unbreakable one too) or hyphen, or by what stands for one in an address (`+`, `%20`, `%2D`).
//! Loose separators are what separates other things as well: a point, a low line, a tab, a dash, and two to four separators of any kind in a
//! row. [`separators`] knows how they are written. Of long identifiers of digits alone one in ten is masked for nothing; identifiers of
//! letters and digits practically never are.

mod separators;

use super::Span;

/// Fewest digits of a card number.
pub(super) const DIGITS_MIN: usize = 13;

/// Most digits of one.
const DIGITS_MAX: usize = 19;

/// Digits that are remembered: a power of two above [`DIGITS_MAX`].
const RING: usize = 32;

/// A digit of a run, and what stood before it.
#[derive(Debug, Clone, Copy, Default)]
struct Digit {
    /// Where it stands.
    at: usize,
    value: u8,
    /// Sums over all digits before it modulo ten, with every digit of an odd or of an even place doubled as Luhn does.
    before: [u8; 2],
    /// Which group it is in.
    group: usize,
    /// How many loose separators stand before it.
    loose: usize,
    /// Whether its group begins with it.
    first: bool,
    /// Whether a letter stands right before it.
    behind_letter: bool,
    /// Whether its group is a time.
    of_time: bool,
    /// Where the UUID ends that it is in; 0: it is in none.
    uuid_end: usize,
}

/// Digits with single separators between them.
struct Run {
    digits: [Digit; RING],
    count: usize,
    groups: usize,
    loose: usize,
    /// Whether a separator stands before the next digit, whatever that is written with.
    is_behind_separator: bool,
    sums: [u8; 2],
    /// Where the present group ends, and whether it is a time.
    group_end: usize,
    group_is_time: bool,
}

fn doubled(digit: u8) -> u8 {
    if digit > 4 { digit * 2 - 9 } else { digit * 2 }
}

/// Finds them. `digits_min` is the fewest digits of a number that stands alone.
pub(super) fn find(text: &[u8], digits_min: usize, found: &mut Vec<Span>) {
    let mut run = Run {
        digits: [Digit::default(); RING],
        count: 0,
        groups: 0,
        loose: 0,
        is_behind_separator: false,
        sums: [0; 2],
        group_end: 0,
        group_is_time: false,
    };
    let mut at = 0;
    let mut uuid_end = 0;
    while let Some(&byte) = text.get(at) {
        // Its first hyphen is looked for first, since that says no most often.
        if text.get(at + 8) == Some(&b'-') && at >= uuid_end && is_uuid(text, at) {
            uuid_end = at + UUID_LENGTH;
        }
        if !byte.is_ascii_digit() {
            // Separators go on with the run if a digit follows at once; all else ends it. Before a run those alone matter that are
            // written with digits, which begin no number.
            let is_worth_a_look = run.count > 0 || matches!(byte, b'%' | b'\\');
            at += match is_worth_a_look.then(|| separators::between(text, at)).flatten() {
                Some(between) => {
                    run.loose += usize::from(between.is_loose);
                    run.is_behind_separator = true;
                    between.length
                }
                None => {
                    run.count = 0;
                    1
                }
            };
            continue;
        }
        run.push(text, at, byte - b'0', if at < uuid_end { uuid_end } else { 0 });
        if let Some(mut span) = run.ending_here(text, digits_min) {
            // They end ever later: those that overlap are one.
            while let Some(known) = found.pop_if(|known| known.to > span.from) {
                span.from = span.from.min(known.from);
            }
            found.push(span);
        }
        at += 1;
    }
}

impl Run {
    fn digit(&self, index: usize) -> &Digit {
        &self.digits[index % RING]
    }

    fn push(&mut self, text: &[u8], at: usize, value: u8, uuid_end: usize) {
        let is_behind_separator = std::mem::take(&mut self.is_behind_separator);
        let before = at.checked_sub(1).and_then(|before| text.get(before)).filter(|_| !is_behind_separator);
        let first = self.count == 0 || !before.is_some_and(u8::is_ascii_digit);
        if self.count == 0 {
            (self.groups, self.loose, self.sums) = (0, 0, [0; 2]);
        }
        if first {
            self.groups += 1;
            let length = text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
            // Once a group: all of them together are read twice.
            let length = length.count();
            self.group_end = at + length;
            self.group_is_time = is_time(value, length);
        }
        self.digits[self.count % RING] = Digit {
            at,
            value,
            before: self.sums,
            group: self.groups,
            loose: self.loose,
            first,
            behind_letter: before.is_some_and(u8::is_ascii_alphabetic),
            of_time: self.group_is_time,
            uuid_end,
        };
        let odd = self.count % 2;
        for (parity, sum) in self.sums.iter_mut().enumerate() {
            *sum = (*sum + if parity == odd { doubled(value) } else { value }) % 10;
        }
        self.count += 1;
    }

    /// The number that ends with the last digit, if there is one; the longest, if there are several.
    fn ending_here(&self, text: &[u8], digits_min: usize) -> Option<Span> {
        let last = self.count.checked_sub(1)?;
        let to = self.digit(last).at + 1;
        let is_whole_end = to == self.group_end;
        let before_letter = text.get(to).is_some_and(u8::is_ascii_alphabetic);
        // The last digit counts once, the one before it twice: those of the other parity are doubled.
        let sums = 1 - last % 2;
        (digits_min..=DIGITS_MAX.min(self.count)).rev().find_map(|length| {
            let start = self.count - length;
            let first = self.digit(start);
            if self.sums[sums] != first.before[sums] {
                return None;
            }
            let end = self.digit(last);
            if first.uuid_end != 0 && first.uuid_end == end.uuid_end {
                return None;
            }
            let is_whole = first.first && is_whole_end;
            let stands_alone = is_whole && !first.behind_letter && !before_letter;
            let is_one_group = first.group == end.group;
            if first.loose != end.loose {
                let is_number = is_of_network(self.lead(start), length) && self.is_printed_so(start);
                return is_number.then_some(Span { from: first.at, to, is_number: true });
            }
            let looks_right = if is_one_group {
                stands_alone && !is_time(first.value, length)
            } else {
                stands_alone && self.is_printed_so(start)
            };
            let is_of_two_times = first.of_time && end.of_time && end.group == first.group + 1;
            let of_network =
                || length >= DIGITS_MIN && !is_of_two_times && is_of_network(self.lead(start), length);
            let span = Span { from: first.at, to, is_number: true };
            (looks_right || of_network()).then_some(span)
        })
    }

    /// Whether the groups from here on are as numbers are printed on cards.
    fn is_printed_so(&self, start: usize) -> bool {
        let mut sizes = [0_usize; 6];
        let first = self.digit(start).group;
        for index in start..self.count {
            match sizes.get_mut(self.digit(index).group - first) {
                Some(size) => *size += 1,
                None => return false,
            }
        }
        matches!(sizes, [4, 6, 4 | 5, 0, ..] | [4, 4, 4, 1..=7, 0, ..] | [4, 4, 4, 4, 1..=3, 0])
    }

    /// The first four digits from here on, as a number.
    fn lead(&self, start: usize) -> u16 {
        (start..start + 4).fold(0, |lead, index| lead * 10 + u16::from(self.digit(index).value))
    }
}

/// Whether so many digits after this one are a time since 1970, of this century.
fn is_time(first: u8, length: usize) -> bool {
    first == 1 && matches!(length, 13 | 16 | 19)
}

/// Whether a network gives out numbers of this length that begin so.
fn is_of_network(lead: u16, length: usize) -> bool {
    match lead {
        4000..=4999 => matches!(length, 13 | 16 | 19),
        2200..=2204 | 2221..=2720 | 3528..=3589 | 5100..=5599 | 8100..=8299 | 9792 => length == 16,
        3400..=3499 | 3700..=3799 => length == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => matches!(length, 14 | 16),
        5000..=5099 | 5600..=5899 | 6000..=6999 => (16..=19).contains(&length),
        _ => false,
    }
}

const UUID_LENGTH: usize = 36;

/// Whether a UUID begins here. One whose three groups of four are digits alone is taken for none: a number could hide in it.
fn is_uuid(text: &[u8], at: usize) -> bool {
    let is_bounded = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_alphanumeric);
    let Some(part) = text.get(at..at + UUID_LENGTH) else {
        return false;
    };
    is_bounded(at.checked_sub(1).and_then(|before| text.get(before)))
        && is_bounded(text.get(at + UUID_LENGTH))
        && part.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
        && part.iter().take(23).skip(9).any(u8::is_ascii_alphabetic)
}
