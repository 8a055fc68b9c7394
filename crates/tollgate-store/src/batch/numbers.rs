//! Numbers of events, as they stand beside what they are of: rising, written as steps.

use crate::error::StoreError;

/// Writes rising numbers behind what is there.
pub(crate) fn append(row: &mut Vec<u8>, numbers: &[u64]) -> Result<(), StoreError> {
    let mut before = 0;
    for number in numbers {
        let step = number.checked_sub(before).filter(|step| *step > 0);
        let mut step = step.ok_or(StoreError::Corrupt("order of events"))?;
        before = *number;
        // Seven bits a byte, the highest says that more follow.
        while step >= 0x80 {
            row.push(u8::try_from(step & 0x7F).unwrap_or_default() | 0x80);
            step >>= 7;
        }
        row.push(u8::try_from(step).unwrap_or_default());
    }
    Ok(())
}

/// Reads them back.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<u64>, StoreError> {
    const WRONG: StoreError = StoreError::Corrupt("numbers of events");
    let (mut numbers, mut number, mut step, mut shift) = (Vec::new(), 0_u64, 0_u64, 0_u32);
    for byte in bytes {
        let part = u64::from(byte & 0x7F);
        if shift > 63 || (part << shift) >> shift != part {
            return Err(WRONG);
        }
        step |= part << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            number = number.checked_add(step).filter(|_| step > 0).ok_or(WRONG)?;
            numbers.push(number);
            (step, shift) = (0, 0);
        }
    }
    if shift == 0 { Ok(numbers) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_nonsense_does_not() {
        let long: Vec<u64> = (1..500).map(|step| step * step).collect();
        for numbers in [&[][..], &[1], &[127, 128, 16_383, 16_384], &[u64::MAX - 1, u64::MAX], &long] {
            let mut row = Vec::new();
            append(&mut row, numbers).unwrap();
            assert_eq!(read(&row).unwrap(), numbers);
        }
        for falling in [&[0][..], &[5, 5], &[5, 4]] {
            assert!(append(&mut Vec::new(), falling).is_err());
        }
        let too_large = [0xFF; 9].iter().chain(&[0x02]).copied().collect::<Vec<u8>>();
        for wrong in [&[0x80][..], &[0x00], &[0x01, 0x00], &too_large, &[0xFF; 12]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(read(&[[0xFF; 9].as_slice(), &[0x01]].concat()).unwrap(), [u64::MAX]);
    }
}
