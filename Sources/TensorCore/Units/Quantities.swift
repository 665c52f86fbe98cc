/// Sizes, durations and rates as users write them: `8G` and `512M` are powers of 1024, rates
/// such as `24GB/s` and `1Gbit/s` powers of 1000, durations `300us` or `2ms`.
public enum Quantity {
  /// Bytes of a size such as `8G`, `1.5G`, `512M`, `64K`, `100` (bytes); nil for nonsense.
  public static func bytes(_ text: String) -> Int? {
    let units: [(String, Double)] = [
      ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776),
      ("KB", 1024), ("MB", 1_048_576), ("GB", 1_073_741_824), ("TB", 1_099_511_627_776),
      ("K", 1024), ("M", 1_048_576), ("G", 1_073_741_824), ("T", 1_099_511_627_776), ("B", 1),
    ]
    return scaled(text, units: units, bare: 1).flatMap { Int(exactly: $0.rounded()) }
  }

  /// Seconds of a duration such as `300us`, `2ms`, `1.5s`.
  public static func seconds(_ text: String) -> Double? {
    scaled(
      text, units: [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1)], bare: nil)
  }

  /// Bytes per second of a rate such as `24GB/s` or `1Gbit/s`.
  public static func bytesPerSecond(_ text: String) -> Double? {
    let units: [(String, Double)] = [
      ("Kbit/s", 125), ("Mbit/s", 125_000), ("Gbit/s", 125_000_000), ("kbit/s", 125),
      ("KB/s", 1e3), ("kB/s", 1e3), ("MB/s", 1e6), ("GB/s", 1e9), ("B/s", 1),
    ]
    return scaled(text, units: units, bare: nil)
  }

  private static func scaled(
    _ text: String, units: [(String, Double)], bare: Double?
  ) -> Double? {
    for (suffix, factor) in units where text.hasSuffix(suffix) {
      return number(text.dropLast(suffix.count)).map { $0 * factor }
    }
    guard let bare else { return nil }
    return number(text[...]).map { $0 * bare }
  }

  private static func number(_ text: Substring) -> Double? {
    guard let first = text.first, first.isASCII, first.isNumber,
      text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
      let value = Double(text), value.isFinite, value < 9e18
    else { return nil }
    return value
  }

  /// A byte count for people: `512 B`, `5.3 MiB`, `1.24 GiB`.
  public static func describe(bytes count: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(count)
    var unit = 0
    while abs(value) >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    guard unit > 0 else { return "\(count) B" }
    let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
    return "\(fixed(value, digits: digits)) \(units[unit])"
  }

  /// A count with its noun: `1 token`, `2 tokens`.
  public static func count(_ count: Int, _ noun: String) -> String {
    count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
  }

  /// A number with a fixed count of digits behind the point, the same on every system.
  public static func fixed(_ value: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    guard value.isFinite, abs(value) < 1e15, abs(value) * scale < 9e18 else { return "\(value)" }
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard digits > 0 else { return sign + String(scaled) }
    let fraction = String(scaled % Int64(scale))
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return "\(sign)\(scaled / Int64(scale)).\(zeros)\(fraction)"
  }
}
