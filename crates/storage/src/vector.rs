//! Vectors as they are stored: the datatypes of their components, and vectors that are borrowed where they lie.
//!
//! Every component is an `f32` in memory, whatever its datatype. A datatype only says which `f32` there are: a vector is rounded
//! to them once, before it is logged, and from then on storing and reading changes no bit. Whether a vector may be written at
//! all (its length, its name, finite values) is not decided here.

use std::borrow::Cow;

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::vec::HalfFloatVecExt;
use serde::{Deserialize, Serialize};

use crate::op::Vector;

/// How the components of dense vectors are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datatype {
    /// IEEE 754 binary32: every `f32`.
    #[default]
    Float32,
    /// IEEE 754 binary16: 11 significant bits, up to 65504.
    Float16,
    /// The integers from 0 to 255.
    Uint8,
}

impl Datatype {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Uint8 => "uint8",
        }
    }

    /// Whether [`Datatype::round`] makes a finite number of the value.
    ///
    /// For finite values only float16 says no, to those of 65520 and more: Qdrant stores them as infinity, which JSON cannot say,
    /// so that they would never be read back.
    pub fn holds(self, value: f32) -> bool {
        match self {
            Self::Float32 | Self::Uint8 => value.is_finite(),
            Self::Float16 => f16::from_f32(value).is_finite(),
        }
    }

    /// Makes of each value the one that is stored for it.
    ///
    /// For float16 that is the nearest, of two equally near ones the even one; uint8 drops the fraction and takes 0 or 255 for what
    /// is outside of them (source: Qdrant's `PrimitiveVectorElement`, which has `f16::from_f32` and `as u8`).
    pub fn round(self, values: &mut [f32]) {
        match self {
            Self::Float32 => {}
            Self::Float16 => values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32()),
            Self::Uint8 => values.iter_mut().for_each(|value| *value = f32::from(byte(*value))),
        }
    }

    /// Whether [`Datatype::round`] changes no bit of the value.
    pub(crate) fn keeps(self, value: f32) -> bool {
        let mut rounded = [value];
        self.round(&mut rounded);
        rounded.map(f32::to_bits) == [value.to_bits()]
    }

    /// The values as they stand in a file.
    pub(crate) fn encode(self, values: &[f32]) -> Cow<'_, [u8]> {
        match self {
            Self::Float32 => bytemuck::cast_slice(values).into(),
            Self::Float16 => {
                let halves = Vec::<f16>::from_f32_slice(values);
                bytemuck::cast_slice::<u16, u8>(halves.reinterpret_cast()).to_vec().into()
            }
            Self::Uint8 => values.iter().copied().map(byte).collect(),
        }
    }

    /// The values that stand in a file; used in place where they are what they are in memory.
    ///
    /// # Panics
    /// If the bytes do not begin at a multiple of a component's length, or do not make whole components.
    pub(crate) fn decode(self, bytes: &[u8]) -> Cow<'_, [f32]> {
        match self {
            Self::Float32 => bytemuck::cast_slice(bytes).into(),
            Self::Float16 => bytemuck::cast_slice::<u8, u16>(bytes).reinterpret_cast::<f16>().to_f32_vec().into(),
            Self::Uint8 => bytes.iter().copied().map(f32::from).collect(),
        }
    }
}

/// What uint8 stores for a value.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast that is meant: it saturates")]
fn byte(value: f32) -> u8 {
    value as u8
}

/// A vector as it is stored, borrowed where possible.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum VectorRef<'a> {
    /// All components.
    Dense(Cow<'a, [f32]>),
    /// The components that are not zero.
    Sparse {
        /// Their indices, ascending.
        indices: Cow<'a, [u32]>,
        /// Their values, as many as indices.
        values: Cow<'a, [f32]>,
    },
    /// Dense vectors of one length, one behind the other.
    Multi(Cow<'a, [f32]>),
}

impl VectorRef<'_> {
    /// The vector for itself.
    pub(crate) fn into_owned(self) -> Vector {
        match self {
            Self::Dense(values) => Vector::Dense(values.into_owned()),
            Self::Sparse { indices, values } => Vector::Sparse { indices: indices.into_owned(), values: values.into_owned() },
            Self::Multi(values) => Vector::Multi(values.into_owned()),
        }
    }

    /// How many numbers are stored: components of all sub-vectors, or those that are not zero.
    pub(crate) fn component_count(&self) -> u64 {
        match self {
            Self::Dense(values) | Self::Multi(values) | Self::Sparse { values, .. } => values.len() as u64,
        }
    }
}

impl Vector {
    /// The vector, borrowed.
    pub(crate) fn as_ref(&self) -> VectorRef<'_> {
        match self {
            Self::Dense(values) => VectorRef::Dense(values.into()),
            Self::Sparse { indices, values } => VectorRef::Sparse { indices: indices.into(), values: values.into() },
            Self::Multi(values) => VectorRef::Multi(values.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Datatype; 3] = [Datatype::Float32, Datatype::Float16, Datatype::Uint8];

    fn rounded(datatype: Datatype, value: f32) -> f32 {
        let mut values = [value];
        datatype.round(&mut values);
        values[0]
    }

    #[test]
    fn names_are_those_of_configurations() {
        for datatype in ALL {
            let json = serde_json::to_string(&datatype).unwrap();
            assert_eq!(json, format!("{:?}", datatype.name()));
            assert_eq!(serde_json::from_str::<Datatype>(&json).unwrap(), datatype);
        }
        assert!(serde_json::from_str::<Datatype>(r#""Float16""#).is_err());
        assert_eq!(Datatype::default(), Datatype::Float32);
    }

    #[test]
    fn halves_are_the_nearest_and_of_two_the_even_one() {
        let step = 2f32.powi(-10); // between 1 and 2
        for (value, expected) in [
            (1.0 + step * 0.5, 1.0),
            (1.0 + step * 0.500_1, 1.0 + step),
            (1.0 + step * 1.5, 1.0 + 2.0 * step),
            (-1.0 - step * 1.5, -1.0 - 2.0 * step),
            (0.1, 0.099_975_586),
            (65_504.0, 65_504.0),
            (65_519.996, 65_504.0),
            (2f32.powi(-24), 2f32.powi(-24)), // the smallest
            (2f32.powi(-25), 0.0),
            (2f32.powi(-25) * 1.000_1, 2f32.powi(-24)),
            (f32::MIN_POSITIVE, 0.0),
        ] {
            assert_eq!(rounded(Datatype::Float16, value), expected, "{value}");
        }
        assert_eq!(rounded(Datatype::Float16, -0.0).to_bits(), (-0.0f32).to_bits());
    }

    #[test]
    fn bytes_lose_the_fraction_and_end_at_0_and_255() {
        for (value, expected) in
            [(0.0, 0.0), (0.99, 0.0), (1.0, 1.0), (254.999, 254.0), (255.5, 255.0), (1e30, 255.0), (-0.5, 0.0), (-7.0, 0.0)]
        {
            assert_eq!(rounded(Datatype::Uint8, value), expected, "{value}");
        }
        assert_eq!(rounded(Datatype::Uint8, -0.0).to_bits(), 0);
    }

    #[test]
    fn only_what_stays_finite_is_held() {
        for datatype in ALL {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert!(!datatype.holds(value), "{datatype:?} {value}");
            }
            for value in [0.0, -1.0, 65_519.996] {
                assert!(datatype.holds(value) && rounded(datatype, value).is_finite(), "{datatype:?} {value}");
            }
        }
        for value in [65_520.0, -65_520.0, f32::MAX] {
            assert!(!Datatype::Float16.holds(value) && rounded(Datatype::Float16, value).is_infinite());
            assert!(Datatype::Float32.holds(value) && Datatype::Uint8.holds(value));
        }
    }

    #[test]
    fn every_value_that_there_is_comes_back_from_a_file_bit_for_bit() {
        let halves: Vec<f32> =
            (0..=u16::MAX).map(|bits| f16::from_bits(bits).to_f32()).filter(|value| value.is_finite()).collect();
        assert_eq!(halves.len(), 63_488);
        let bytes: Vec<f32> = (0..=u8::MAX).map(f32::from).collect();
        let floats = vec![0.0, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, -1.5];
        for (datatype, len, values) in
            [(Datatype::Float16, 2, halves), (Datatype::Uint8, 1, bytes), (Datatype::Float32, 4, floats)]
        {
            let encoded = datatype.encode(&values);
            assert_eq!(encoded.len(), values.len() * len);
            let mut aligned = vec![0u32; values.len()];
            let stored = &mut bytemuck::cast_slice_mut(&mut aligned)[..encoded.len()];
            stored.copy_from_slice(&encoded);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(bits(&datatype.decode(stored)) == bits(&values), "{datatype:?}");
            let mut again = values.clone();
            datatype.round(&mut again);
            assert!(bits(&again) == bits(&values), "{datatype:?}");
        }
    }

    #[test]
    fn the_encodings_never_change() {
        let values = [1.0, -2.0];
        assert_eq!(*Datatype::Float32.encode(&values), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!(*Datatype::Float16.encode(&values), [0, 0x3c, 0, 0xc0]);
        assert_eq!(*Datatype::Uint8.encode(&[1.0, 255.0]), [1, 255]);
    }
}
