//! Kinds that have a word each: in records, in answers, in what is typed.

/// Declares an enum whose every kind has one word, so that a kind without one, or a list that lacks one, does
/// not compile.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident {$($(#[$kind_doc:meta])* $kind:ident = $word:literal;)*}
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {$($(#[$kind_doc])* $kind,)*}

        impl $name {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$kind => $word,)*}
            }

            /// What a word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word)
            }
        }
    };
}

pub(in crate::domain) use words;
