//! What Gemini's models cost, since the CLI itself does not say.

/// What one model costs, in billionths of a dollar for one token.
///
/// The maker's paid prices for text as listed in October 2026, with prompts of up to 200,000
/// tokens: what longer prompts cost more cannot be told, because the CLI adds up the tokens of all
/// requests. Tools that are billed by the call are left out as well, so a cost is a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// A token of the prompt.
    pub input: u64,
    /// A token of the prompt that was cached.
    pub cached: u64,
    /// A token of the answer, thoughts included.
    pub output: u64,
}

/// The prices of the models that are known; 1,000 is one dollar for a million tokens.
pub const PRICES: &[(&str, Price)] = &[
    ("gemini-2.5-flash", Price { input: 300, cached: 30, output: 2_500 }),
    ("gemini-2.5-flash-lite", Price { input: 100, cached: 10, output: 400 }),
    ("gemini-2.5-pro", Price { input: 1_250, cached: 125, output: 10_000 }),
    ("gemini-3-flash-preview", Price { input: 500, cached: 50, output: 3_000 }),
    ("gemini-3-pro-preview", Price { input: 2_000, cached: 200, output: 12_000 }),
    ("gemini-3.1-flash-lite", Price { input: 250, cached: 25, output: 1_500 }),
    ("gemini-3.1-pro-preview", Price { input: 2_000, cached: 200, output: 12_000 }),
    ("gemini-3.1-pro-preview-customtools", Price { input: 2_000, cached: 200, output: 12_000 }),
    ("gemini-3.5-flash", Price { input: 1_500, cached: 150, output: 9_000 }),
    ("gemini-3.5-flash-lite", Price { input: 300, cached: 30, output: 2_500 }),
    // Twice that from January 2027 on.
    ("gemini-3.8-flash", Price { input: 750, cached: 75, output: 3_750 }),
];

/// The price of a model; `None` for one that is not listed.
pub fn of(model: &str) -> Option<Price> {
    PRICES.iter().find(|(name, _)| *name == model).map(|(_, price)| *price)
}

impl Price {
    /// What tokens cost, in billionths of a dollar; `None` when that is beyond all reason.
    pub fn nanos(self, input: u64, cached: u64, output: u64) -> Option<u64> {
        let input = self.input.checked_mul(input)?;
        let cached = self.cached.checked_mul(cached)?;
        let output = self.output.checked_mul(output)?;
        input.checked_add(cached)?.checked_add(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_cost_what_the_list_says() {
        let price = of("gemini-2.5-pro").unwrap();
        assert_eq!(price.nanos(1_000_000, 0, 0), Some(1_250_000_000));
        assert_eq!(price.nanos(0, 1_000_000, 1_000_000), Some(10_125_000_000));
        assert_eq!(price.nanos(u64::MAX, 0, 0), None);
        assert_eq!(of("gemini-99"), None);
    }

    #[test]
    fn the_list_is_sorted_and_a_cached_token_is_the_cheapest() {
        assert!(PRICES.is_sorted_by_key(|(name, _)| *name));
        for (name, price) in PRICES {
            assert!(price.cached < price.input && price.input < price.output, "{name}");
        }
    }
}
