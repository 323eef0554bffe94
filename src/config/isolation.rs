//! What the configuration says about keeping agents apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum IsolationChoice {
    /// The best there is: users of their own as root, else Landlock, else nothing.
    #[default]
    Auto,
    /// A user of its own for each agent, and Landlock where there is one; nothing less will do.
    Uid,
    /// Landlock alone; nothing less will do.
    Landlock,
    /// Nothing.
    None,
}

/// The lowest number that an agent may get: below are the users of the system.
const UID_MIN: u32 = 1_000;

/// The highest number that an agent may get; the one above means "nobody" to the kernel.
const UID_MAX: u32 = u32::MAX - 1;

/// The numbers for agents unless the configuration says otherwise.
const RANGE_DEFAULT: UidRange = UidRange { first: 200_000, last: 265_535 };

/// The numbers that agents get as users and groups, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UidRange {
    first: u32,
    last: u32,
}

impl Default for UidRange {
    fn default() -> Self {
        RANGE_DEFAULT
    }
}

impl fmt::Display for UidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl From<UidRange> for String {
    fn from(range: UidRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for UidRange {
    type Error = InvalidRange;

    fn try_from(text: String) -> Result<Self, InvalidRange> {
        text.parse()
    }
}

/// A text is no range of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the users of agents as FIRST-LAST, each from {UID_MIN} to {UID_MAX}")]
pub struct InvalidRange;

impl FromStr for UidRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let (first, last) = text.split_once('-').ok_or(InvalidRange)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| InvalidRange);
        let (first, last) = (number(first)?, number(last)?);
        let is_sound = UID_MIN <= first && first <= last && last <= UID_MAX;
        is_sound.then_some(Self { first, last }).ok_or(InvalidRange)
    }
}

impl UidRange {
    /// How many numbers there are.
    pub fn count(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// The number at a place counted around the range.
    pub fn at(self, place: u64) -> u32 {
        let offset = place % self.count();
        u32::try_from(offset).map_or(self.first, |offset| self.first + offset)
    }

    /// Tells whether the kernel knows these numbers here: in a container it may know only some.
    pub fn is_within(self, first: u32, count: u32) -> bool {
        let end = u64::from(first) + u64::from(count);
        first <= self.first && u64::from(self.last) < end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_checked() {
        for good in ["1000-1000", "200000-265535", "200000 - 300000"] {
            good.parse::<UidRange>().unwrap();
        }
        for bad in ["", "5", "0-70000", "999-2000", "3000-2000", "1000-4294967295", "a-b"] {
            assert_eq!(bad.parse::<UidRange>(), Err(InvalidRange), "{bad}");
        }
    }

    #[test]
    fn a_range_must_be_known_to_the_kernel_as_a_whole() {
        let range: UidRange = "200000-265535".parse().unwrap();
        assert!(range.is_within(0, u32::MAX));
        assert!(range.is_within(200_000, 65_536));
        assert!(!range.is_within(200_000, 65_535));
        assert!(!range.is_within(0, 65_536));
    }
}
