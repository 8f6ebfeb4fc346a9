//! Cosine vectors are stored with length 1, so that a later comparison is a dot product.

/// Divides the vector by its length, computed in 32-bit floats in the order of the components.
///
/// A vector of length 0 or (nearly) 1 stays as it is, so that reading a stored float32 vector and writing it again changes no bit
/// (source: Qdrant's `cosine_preprocess`).
pub(crate) fn normalize(vector: &mut [f32]) {
    let square: f32 = vector.iter().map(|component| component * component).sum();
    if square < f32::EPSILON || (square - 1.0).abs() <= 1.0e-6 {
        return;
    }
    let length = square.sqrt();
    for component in vector {
        *component /= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_one_and_stay() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let before = vector;
        normalize(&mut vector);
        assert_eq!(vector.map(f32::to_bits), before.map(f32::to_bits));
        let mut zero = [0.0, 0.0];
        normalize(&mut zero);
        assert_eq!(zero, [0.0, 0.0]);
    }
}
