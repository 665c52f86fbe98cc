import Quantization
import StrictJSON
import TensorCore

/// What quantizing did to the weights, tensor by tensor.
public struct QuantizeReport: Sendable {
  /// One tensor.
  public struct Entry: Sendable {
    public let name: String
    public let component: String
    public let role: String
    public let scheme: String
    public let shape: [Int]
    /// Stored bytes, scales included.
    public let byteCount: Int
    public let bitsPerWeight: Double
    /// Σw².
    public let power: Double
    /// Σ(w − decoded)².
    public let errorPower: Double
    /// What calibration did; nil without one, and for tensors that it leaves out.
    public let calibration: CalibrationGain?

    public var elementCount: Int { shape.reduce(1, *) }
    /// √(Σ(w − decoded)² / Σw²).
    public var relativeError: Double { power > 0 ? (errorPower / power).squareRoot() : 0 }
  }

  public static let schema = "shardtool.quantization_report/1"
  public static let fileName = "quantization_report.json"

  public let recipe: String
  public let effort: Effort
  public let entries: [Entry]
  /// Bytes of the same tensors in the checkpoint.
  public let sourceByteCount: Int

  public var elementCount: Int { entries.reduce(0) { $0 + $1.elementCount } }
  public var byteCount: Int { entries.reduce(0) { $0 + $1.byteCount } }
  public var bitsPerWeight: Double {
    elementCount > 0 ? Double(byteCount) * 8 / Double(elementCount) : 0
  }

  /// All tensors of one scheme together.
  public struct Total: Sendable {
    public let scheme: String
    public let tensorCount: Int
    public let elementCount: Int
    public let byteCount: Int
    public let power: Double
    public let errorPower: Double

    public var bitsPerWeight: Double {
      elementCount > 0 ? Double(byteCount) * 8 / Double(elementCount) : 0
    }
    public var relativeError: Double { power > 0 ? (errorPower / power).squareRoot() : 0 }
  }

  /// Sums by scheme, in the order in which the schemes first occur.
  public var totals: [Total] {
    var names: [String] = []
    for entry in entries where !names.contains(entry.scheme) { names.append(entry.scheme) }
    return names.map { name in
      let members = entries.filter { $0.scheme == name }
      return Total(
        scheme: name, tensorCount: members.count,
        elementCount: members.reduce(0) { $0 + $1.elementCount },
        byteCount: members.reduce(0) { $0 + $1.byteCount },
        power: members.reduce(0) { $0 + $1.power },
        errorPower: members.reduce(0) { $0 + $1.errorPower })
    }
  }

  /// Signal to noise in decibels; nil where nothing was lost.
  public static func decibels(power: Double, errorPower: Double) -> Double? {
    guard errorPower > 0, power > 0 else { return nil }
    return decibels(ratio: power / errorPower)
  }
}

extension QuantizeReport {
  public var json: JSONValue {
    [
      "schema": .string(Self.schema), "recipe": .string(recipe),
      "effort": .string(effort.rawValue), "weights": JSONValue(elementCount),
      "source_bytes": JSONValue(sourceByteCount),
      "stored_bytes": JSONValue(byteCount),
      "bits_per_weight": Self.rounded(bitsPerWeight, digits: 4),
      "schemes": .array(totals.map(Self.json)), "tensors": .array(entries.map(Self.json)),
    ]
  }

  private static func json(_ total: Total) -> JSONValue {
    [
      "scheme": .string(total.scheme), "tensors": JSONValue(total.tensorCount),
      "weights": JSONValue(total.elementCount), "stored_bytes": JSONValue(total.byteCount),
      "bits_per_weight": rounded(total.bitsPerWeight, digits: 4),
      "relative_error": rounded(total.relativeError, digits: 6),
      "snr_db": snr(power: total.power, errorPower: total.errorPower),
    ]
  }

  private static func json(_ entry: Entry) -> JSONValue {
    var object: JSONObject = [
      "name": .string(entry.name), "component": .string(entry.component),
      "role": .string(entry.role), "scheme": .string(entry.scheme),
      "shape": .array(entry.shape.map { JSONValue($0) }),
      "stored_bytes": JSONValue(entry.byteCount),
      "bits_per_weight": rounded(entry.bitsPerWeight, digits: 4),
      "relative_error": rounded(entry.relativeError, digits: 6),
      "snr_db": snr(power: entry.power, errorPower: entry.errorPower),
    ]
    if let calibration = entry.calibration { object["calibration"] = calibration.json }
    return .object(object)
  }

  /// Rounded, so that the text does not depend on a machine's logarithm.
  private static func snr(power: Double, errorPower: Double) -> JSONValue {
    decibels(power: power, errorPower: errorPower).map { rounded($0, digits: 2) } ?? .null
  }

  private static func rounded(_ value: Double, digits: Int) -> JSONValue {
    Double(Quantity.fixed(value, digits: digits)).map { .double($0) } ?? .null
  }
}

extension QuantizeReport {
  /// 10 · log₁₀ of a positive ratio, by an own series: the same bits everywhere.
  private static func decibels(ratio: Double) -> Double {
    let exponent = ratio.exponent
    let mantissa = ratio.significand
    // ln m = 2 · artanh((m − 1)/(m + 1)) for m in 1..<2.
    let t = (mantissa - 1) / (mantissa + 1)
    var power = t
    var sum = 0.0
    for k in stride(from: 1.0, through: 41, by: 2) {
      sum += power / k
      power *= t * t
    }
    let ln2 = 0.693147180559945309417
    let ln10 = 2.30258509299404568402
    return 10 * (2 * sum + Double(exponent) * ln2) / ln10
  }
}
