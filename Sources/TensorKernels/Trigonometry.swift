/// Sine and cosine in double precision from additions and multiplications alone, so that every
/// system gives the same bits; far closer than a float can tell.
enum Trigonometry {
  /// Precondition: `angle` is finite and below 2^31 in magnitude.
  static func sineAndCosine(_ angle: Double) -> (sine: Double, cosine: Double) {
    precondition(angle.magnitude < 2_147_483_648, "an angle of \(angle) radians")
    // Quarter turns: the first two parts of pi / 2 have 21 zero bits at their end, so that their
    // products with the count are exact.
    let quarters = (angle * 0x1.45f306dc9c883p-1).rounded(.toNearestOrEven)
    let high = quarters * 0x1.921fb544p+0
    let middle = quarters * 0x1.0b4611ap-34
    let low = quarters * 0x1.3198a2e037073p-69
    let r = ((angle - high) - middle) - low
    let (sine, cosine) = series(r)
    switch Int64(quarters) & 3 {
    case 0: return (sine, cosine)
    case 1: return (cosine, -sine)
    case 2: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
  }

  /// Taylor series for |r| ≤ π / 4; the first term left out is below 2^-56.
  private static func series(_ r: Double) -> (sine: Double, cosine: Double) {
    let square = r * r
    var sine = 0.0
    var cosine = 0.0
    for k in stride(from: 16.0, through: 2.0, by: -2) {
      sine = (1 - sine) * square / (k * (k + 1))
      cosine = (1 - cosine) * square / (k * (k - 1))
    }
    return (r * (1 - sine), 1 - cosine)
  }
}
