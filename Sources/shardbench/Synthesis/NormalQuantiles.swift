import Foundation

/// The standard normal distribution at 4096 evenly spaced probabilities.
///
/// Source: Acklam 2003, "An algorithm for computing the inverse normal cumulative distribution
/// function", whose relative error is below 1.15e-9.
enum NormalQuantiles {
  static let table: [Float] = (0..<4096).map { Float(quantile((Double($0) + 0.5) / 4096)) }

  static func quantile(_ p: Double) -> Double {
    if p > 0.5 { return -quantile(1 - p) }
    if p < 0.02425 {
      let q = (-2 * log(p)).squareRoot()
      return polynomial(tailNumerator, q) / (polynomial(tailDenominator, q) * q + 1)
    }
    let q = p - 0.5
    let r = q * q
    return polynomial(centreNumerator, r) * q / (polynomial(centreDenominator, r) * r + 1)
  }

  private static func polynomial(_ coefficients: [Double], _ x: Double) -> Double {
    coefficients.reduce(0) { $0 * x + $1 }
  }

  private static let centreNumerator = [
    -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
    1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00,
  ]
  private static let centreDenominator = [
    -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
    6.680131188771972e+01, -1.328068155288572e+01,
  ]
  private static let tailNumerator = [
    -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
    -2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00,
  ]
  private static let tailDenominator = [
    7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
    3.754408661907416e+00,
  ]
}
