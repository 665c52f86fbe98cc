import Foundation
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

/// A mean of many measurements and how far chance may have moved it.
public struct Estimate: Sendable, Equatable {
  public let value: Double
  public let standardError: Double

  public init(value: Double, standardError: Double) {
    self.value = value
    self.standardError = standardError
  }

  /// The mean, with √(variance / n).
  init(meanOf values: [Double]) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / max(1, count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    value = mean
    standardError = count > 1 ? (squares / (count - 1) / count).squareRoot() : 0
  }
}

/// What two models say of the same tokens.
struct TokenComparisons: Sendable {
  /// −ln p of each token.
  var reference: [Double] = []
  var tested: [Double] = []
  /// KL divergence of the tested model's distribution from the reference's.
  var divergence: [Double] = []
  /// 1 where both find the same token most probable.
  var sameTop: [Double] = []

  /// Adds some tokens.
  ///
  /// Shapes: logits [targets.count, vocabulary].
  mutating func add(
    reference left: Matrix, tested right: Matrix, targets: ArraySlice<Int32>,
    compute: ComputeContext
  ) {
    let found = Mutex([Values](repeating: Values(), count: targets.count))
    let ids = Array(targets)
    compute.pool.run(chunks: ids.count) { (row: Int) in
      let values = Self.values(left, right, row: row, target: Int(ids[row]), compute)
      found.withLock { $0[row] = values }
    }
    for values in found.withLock({ $0 }) {
      reference.append(values.reference)
      tested.append(values.tested)
      divergence.append(values.divergence)
      sameTop.append(values.sameTop)
    }
  }

  /// One token.
  private struct Values: Sendable {
    var reference = 0.0
    var tested = 0.0
    var divergence = 0.0
    var sameTop = 0.0
  }

  private static func values(
    _ left: Matrix, _ right: Matrix, row: Int, target: Int, _ compute: ComputeContext
  ) -> Values {
    let leftSum = compute.logSumExp(left, row: row)
    let rightSum = compute.logSumExp(right, row: row)
    var values = Values()
    values.sameTop = compute.argmax(left, row: row) == compute.argmax(right, row: row) ? 1 : 0
    left.withRow(row) { left in
      right.withRow(row) { right in
        var sum = 0.0
        for column in 0..<left.count {
          let logarithm = Double(left[column]) - leftSum
          sum += exp(logarithm) * (logarithm - (Double(right[column]) - rightSum))
        }
        // Rounding may make a sum of zero a little less.
        values.divergence = sum < 0 ? 0 : sum
        values.reference = leftSum - Double(left[target])
        values.tested = rightSum - Double(right[target])
      }
    }
    return values
  }

  /// Whether all that was added so far are numbers.
  var areFinite: Bool {
    reference.allSatisfy(\.isFinite) && tested.allSatisfy(\.isFinite)
      && divergence.allSatisfy(\.isFinite)
  }

  /// The value that a share of all tokens does not exceed.
  func quantile(_ share: Double) -> Double {
    let sorted = divergence.sorted()
    guard let last = sorted.last else { return 0 }
    let place = Int((share * Double(sorted.count)).rounded(.up)) - 1
    return place < sorted.count ? sorted[max(0, place)] : last
  }
}

extension Estimate {
  /// exp of a mean; its error follows from the mean's to first order.
  var exponential: Estimate {
    let power = exp(value)
    return Estimate(value: power, standardError: power * standardError)
  }

  public var json: JSONValue {
    ["value": .double(value), "standard_error": .double(standardError)]
  }
}
