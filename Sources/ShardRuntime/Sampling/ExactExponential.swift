/// The exponential function from additions and multiplications alone, so that its bits are the
/// same on every system, which those of the C library are not.
enum ExactExponential {
  /// e to the power of `x` within 2 units in the last place; 0 below -708.
  ///
  /// Source: argument reduction by multiples of ln 2 (split in two parts, as in Cody and Waite)
  /// and the Taylor series to the 13th power on ±ln 2 / 2.
  ///
  /// Precondition: `x` is not above 0.
  static func ofNonPositive(_ x: Double) -> Double {
    guard x > -708 else { return 0 }
    let exponent = (x * 1.442_695_040_888_963_4).rounded(.toNearestOrEven)
    let reduced = (x - exponent * 0x1.62e42feep-1) - exponent * 0x1.a39ef35793c76p-33
    var sum = inverseFactorials[0]
    for coefficient in inverseFactorials.dropFirst() { sum = sum * reduced + coefficient }
    return sum * Double(sign: .plus, exponent: Int(exponent), significand: 1)
  }

  /// 1/13!, 1/12! … 1/1!, 1/0!.
  private static let inverseFactorials: [Double] = {
    var values = [1.0]
    var factorial = 1.0
    for n in 1...13 {
      factorial *= Double(n)
      values.append(1 / factorial)
    }
    return values.reversed()
  }()
}
