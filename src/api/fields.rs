//! Checks a body against the schema that documents it: unknown fields, missing ones, and the one
//! character that no store takes.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Object};
use utoipa::openapi::{RefOr, Schema};

use super::error::{ApiError, Code, FieldError};

/// The most mistakes that one answer lists.
const ERRORS_MAX: usize = 20;

type Definitions = BTreeMap<String, RefOr<Schema>>;

/// Refuses a body with fields that `T` does not document, or without those it needs.
pub(super) fn check<T: ToSchema>(value: &Value) -> Result<(), ApiError> {
    let mut definitions = Vec::new();
    T::schemas(&mut definitions);
    let walk = Walk { definitions: definitions.into_iter().collect() };
    let mut errors = Vec::new();
    if value.is_object() {
        walk.visit(&T::schema(), value, "", &mut errors);
    } else {
        let detail = "the body must be a JSON object".to_owned();
        errors.push(FieldError { pointer: String::new(), code: Code::InvalidField, detail });
    }
    match errors.first() {
        None => Ok(()),
        Some(first) => {
            let error = ApiError::new(first.code, first.detail.clone());
            Err(error.with_errors(errors))
        }
    }
}

/// Takes the fields of older clients out of the body and names those that were there.
pub(super) fn take_legacy(value: &mut Value, legacy: &[&'static str]) -> Vec<&'static str> {
    let Value::Object(object) = value else { return Vec::new() };
    legacy.iter().copied().filter(|name| object.remove(*name).is_some()).collect()
}

/// The known name that is nearest to a mistaken one, in words.
pub(super) fn hint(mistaken: &str, known: &[String]) -> String {
    let distance = |name: &&String| strsim::damerau_levenshtein(name, mistaken);
    match known.iter().min_by_key(distance) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; this takes none".to_owned(),
    }
}

/// The JSON pointer of a path that serde reports.
pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => step(&mut pointer, &index.to_string()),
            Segment::Map { key } => step(&mut pointer, key),
            Segment::Enum { variant } => step(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

fn step(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
}

struct Walk {
    definitions: Definitions,
}

impl Walk {
    fn visit(
        &self,
        schema: &RefOr<Schema>,
        value: &Value,
        pointer: &str,
        errors: &mut Vec<FieldError>,
    ) {
        if errors.len() >= ERRORS_MAX {
            return;
        }
        match value {
            Value::Object(fields) => {
                if let Some(object) = self.object(schema) {
                    self.fields(object, fields, pointer, errors);
                }
            }
            Value::Array(items) => {
                let item = self.item(schema);
                for (index, value) in items.iter().enumerate() {
                    let any = RefOr::T(Schema::default());
                    self.visit(item.unwrap_or(&any), value, &format!("{pointer}/{index}"), errors);
                }
            }
            Value::String(text) if text.contains('\0') => {
                let detail = format!("{} contains a NUL character", name(pointer));
                errors.push(error(pointer.to_owned(), Code::InvalidField, detail));
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fields(
        &self,
        object: &Object,
        fields: &serde_json::Map<String, Value>,
        pointer: &str,
        errors: &mut Vec<FieldError>,
    ) {
        let known: Vec<String> = object.properties.keys().cloned().collect();
        for (field, value) in fields {
            let mut at = pointer.to_owned();
            step(&mut at, field);
            if let Some(schema) = object.properties.get(field) {
                self.visit(schema, value, &at, errors);
            } else if let Some(AdditionalProperties::RefOr(schema)) =
                object.additional_properties.as_deref()
            {
                // A map, whose keys are the client's own.
                self.visit(schema, value, &at, errors);
            } else {
                let detail = format!("unknown field `{field}`{}", hint(field, &known));
                errors.push(error(at, Code::UnknownField, detail));
            }
        }
        for field in object.required.iter().filter(|field| !fields.contains_key(*field)) {
            let mut at = pointer.to_owned();
            step(&mut at, field);
            errors.push(error(at, Code::InvalidField, format!("`{field}` is missing")));
        }
    }

    /// The object that a schema describes, through references and `null` alternatives.
    fn object<'a>(&'a self, schema: &'a RefOr<Schema>) -> Option<&'a Object> {
        match self.resolve(schema)? {
            Schema::Object(object) => Some(object),
            Schema::OneOf(one_of) => one_of.items.iter().find_map(|item| self.object(item)),
            Schema::AnyOf(any_of) => any_of.items.iter().find_map(|item| self.object(item)),
            _ => None,
        }
        .filter(|object| !object.properties.is_empty() || object.additional_properties.is_some())
    }

    fn item<'a>(&'a self, schema: &'a RefOr<Schema>) -> Option<&'a RefOr<Schema>> {
        match self.resolve(schema)? {
            Schema::Array(array) => match &array.items {
                ArrayItems::RefOrSchema(item) => Some(item),
                ArrayItems::False => None,
            },
            Schema::OneOf(one_of) => one_of.items.iter().find_map(|item| self.item(item)),
            _ => None,
        }
    }

    fn resolve<'a>(&'a self, schema: &'a RefOr<Schema>) -> Option<&'a Schema> {
        match schema {
            RefOr::T(schema) => Some(schema),
            RefOr::Ref(reference) => {
                let name = reference.ref_location.rsplit('/').next()?;
                self.definitions.get(name).and_then(|schema| self.resolve(schema))
            }
        }
    }
}

fn error(pointer: String, code: Code, detail: String) -> FieldError {
    FieldError { pointer, code, detail }
}

/// How a person calls the place.
fn name(pointer: &str) -> &str {
    if pointer.is_empty() { "the body" } else { pointer.trim_start_matches('/') }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(utoipa::ToSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Inner {
        cpu: Option<String>,
    }

    #[derive(utoipa::ToSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Outer {
        message: String,
        allowed_tools: Option<Vec<String>>,
        inner: Option<Inner>,
        list: Option<Vec<Inner>>,
    }

    fn errors(body: &Value) -> Vec<(String, String)> {
        let Err(error) = check::<Outer>(body) else { return vec![] };
        error.errors().iter().map(|e| (e.pointer.clone(), e.detail.clone())).collect()
    }

    #[test]
    fn documented_fields_pass_at_any_depth() {
        let body = json!({"message": "m", "inner": {"cpu": null}, "list": [{"cpu": "1"}]});
        assert!(errors(&body).is_empty());
    }

    #[test]
    fn an_unknown_field_is_named_with_the_nearest_known_one() {
        let found = errors(&json!({"message": "m", "allowed_tols": []}));
        let expected = "unknown field `allowed_tols`; did you mean `allowed_tools`?";
        assert_eq!(found, [("/allowed_tols".to_owned(), expected.to_owned())]);
    }

    #[test]
    fn mistakes_inside_lists_and_objects_are_found() {
        let found = errors(&json!({"message": "m", "inner": {"cpus": 1}, "list": [{"a/b": 1}]}));
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/inner/cpus", "/list/0/a~1b"]);
    }

    #[test]
    fn missing_fields_nul_and_other_types_are_refused() {
        assert_eq!(
            errors(&json!({})),
            [("/message".to_owned(), "`message` is missing".to_owned())]
        );
        let nul = errors(&json!({"message": "a\u{0}b"}));
        assert_eq!(nul, [("/message".to_owned(), "message contains a NUL character".to_owned())]);
        assert_eq!(errors(&json!([]))[0].0, "");
    }
}
