//! What a new password must be like.

use crate::api::error::{ApiError, Code, Result};

/// The shortest password, in characters.
pub const PASSWORD_LENGTH_MIN: usize = 8;

/// The longest password, in bytes: more protects nothing and costs time.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// Refuses a new password that is too short or too long.
pub fn check(password: &str) -> Result<()> {
    let detail = if password.chars().count() < PASSWORD_LENGTH_MIN {
        format!("the password must have {PASSWORD_LENGTH_MIN} characters or more")
    } else if password.len() > PASSWORD_BYTES_MAX {
        format!("the password must have {PASSWORD_BYTES_MAX} bytes or fewer")
    } else {
        return Ok(());
    };
    Err(ApiError::field("/password", detail).with_code(Code::InvalidPassword))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_bounds() {
        assert!(check("1234567").is_err());
        assert!(check("12345678").is_ok());
        assert!(check(&"x".repeat(PASSWORD_BYTES_MAX + 1)).is_err());
    }
}
