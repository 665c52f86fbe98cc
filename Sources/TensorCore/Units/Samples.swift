/// Repeated measurements of one thing.
public enum Samples {
  /// The middle value; of an even number, the mean of the two in the middle; 0 of none.
  public static func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// The smallest value that at least `share` of all values do not exceed; 0 of none.
  public static func quantile(_ share: Double, of values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let place = (share * Double(values.count)).rounded(.up)
    return values.sorted()[min(max(1, Int(place)), values.count) - 1]
  }
}

extension Duration {
  /// The duration as a number of seconds.
  package var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
