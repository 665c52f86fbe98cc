import Foundation
import StrictJSON
import TensorKernels

/// Rotary position embedding as config.json describes it.
///
/// Source: Su et al. 2021, "RoFormer", section 3.4; the scalings as Hugging Face transformers
/// defines them (`modeling_rope_utils.py`).
public struct RotaryEmbedding: Sendable {
  /// θ, the base of the frequencies.
  package let base: Double
  /// Channels of a head that rotate.
  package let dimensions: Int
  /// Whether pairs are neighbours (GPT-J) instead of halves (all others).
  var isInterleaved = false
  package let scaling: Scaling
  /// max_position_embeddings.
  let contextLength: Int

  package enum Scaling: Sendable {
    case none
    /// All frequencies divided by a factor.
    case linear(factor: Double)
    /// Llama 3.1: low frequencies divided, high ones kept, a ramp between.
    case llama3(factor: Double, low: Double, high: Double, original: Double)
    /// Peng et al. 2023, "YaRN".
    case yarn(factor: Double, fast: Double, slow: Double, original: Double, attention: Double)
    /// Phi-3: a divisor for each frequency, one set within the original context, one beyond.
    case long(short: [Double], long: [Double], original: Int, attention: Double)
  }

  /// The table for positions 0..<`positions`.
  func table(positions: Int) -> RotaryTable {
    let (frequencies, attentionFactor) = frequencies(positions: positions)
    return RotaryTable(
      inverseFrequencies: frequencies, positions: positions, interleaved: isInterleaved,
      attentionFactor: attentionFactor)
  }

  /// Bytes of that table.
  func tableBytes(positions: Int) -> Int {
    RotaryTable.byteCount(rotaryDimensions: dimensions, positions: positions)
  }

  /// Inverse frequencies [dimensions / 2] before any scaling.
  package var plainFrequencies: [Double] {
    (0..<(dimensions / 2)).map { index in
      Double(Float(1 / pow(base, Double(2 * index) / Double(dimensions))))
    }
  }

  /// Inverse frequencies [dimensions / 2] and the factor on cosine and sine.
  package func frequencies(positions: Int) -> ([Float], Float) {
    let plain = plainFrequencies
    switch scaling {
    case .none:
      return (plain.map(Float.init), 1)
    case .linear(let factor):
      return (plain.map { Float($0 / factor) }, 1)
    case .llama3(let factor, let low, let high, let original):
      return (
        plain.map { frequency in
          let wavelength = 2 * Double.pi / frequency
          if wavelength > original / low { return Float(frequency / factor) }
          if wavelength < original / high { return Float(frequency) }
          let smooth = (original / wavelength - low) / (high - low)
          return Float((1 - smooth) * frequency / factor + smooth * frequency)
        }, 1
      )
    case .yarn(let factor, let fast, let slow, let original, let attention):
      return (
        yarn(plain, factor: factor, fast: fast, slow: slow, original: original),
        Float(attention)
      )
    case .long(let short, let long, let original, let attention):
      let divisors = positions > original ? long : short
      return (zip(plain, divisors).map { Float($0 / $1) }, Float(attention))
    }
  }

  private func yarn(
    _ plain: [Double], factor: Double, fast: Double, slow: Double, original: Double
  ) -> [Float] {
    // The index at which a frequency turns `rotations` times within the original context.
    func index(_ rotations: Double) -> Double {
      Double(dimensions) * log(original / (rotations * 2 * .pi)) / (2 * log(base))
    }
    let low = max(0, index(fast).rounded(.down))
    let high = min(Double(dimensions - 1), index(slow).rounded(.up))
    let width = high == low ? 0.001 : high - low
    return plain.enumerated().map { index, frequency in
      let ramp = min(1, max(0, (Double(index) - low) / width))
      return Float(frequency / factor * ramp + frequency * (1 - ramp))
    }
  }
}

extension RotaryEmbedding {
  /// Reads the old spelling (`rope_theta`, `rope_scaling`) or the new one (`rope_parameters`).
  ///
  /// - Parameters:
  ///   - dimensions: channels of a head that rotate.
  ///   - parameters: `rope_parameters` of one layer type, where they are nested.
  ///   - defaultOriginal: the family's own default of original_max_position_embeddings.
  /// - Throws: `ArchitectureFault` for an unknown type, and where spellings contradict.
  init(
    _ reader: ConfigurationReader, dimensions: Int, contextLength: Int,
    baseKey: String = "rope_theta", defaultBase: Double = 10_000,
    parameters: ConfigurationReader? = nil, defaultOriginal: Int? = nil
  ) throws(ArchitectureFault) {
    let nested: ConfigurationReader?
    if let parameters {
      nested = parameters
    } else {
      let new = try reader.object("rope_parameters")
      let old = try reader.object("rope_scaling")
      if let new, let old { try Self.refuseContradictions(new, old) }
      nested = new ?? old
      for layerType in ["full_attention", "sliding_attention"] where nested?.has(layerType) == true
      {
        throw .configuration(
          "rope_parameters", "differ by layer type, which this family does not know")
      }
    }
    let inner = try nested?.number("rope_theta")
    let outer = try reader.number(baseKey)
    if let inner, let outer, inner != outer, parameters == nil {
      throw .configuration(baseKey, "is \(outer), but the rope parameters say \(inner)")
    }
    base = inner ?? outer ?? defaultBase
    guard base > 1 else { throw .configuration(baseKey, "is \(base); expected more than 1") }
    guard dimensions > 0, dimensions % 2 == 0 else {
      throw .configuration(
        "rotary dimensions", "come to \(dimensions); expected a positive even number")
    }
    self.dimensions = dimensions
    self.contextLength = contextLength
    scaling = try Self.scaling(
      nested, reader, pairs: dimensions / 2, contextLength: contextLength,
      defaultOriginal: defaultOriginal)
  }

  /// Refuses old and new spelling side by side unless they mean the same.
  private static func refuseContradictions(
    _ new: ConfigurationReader, _ old: ConfigurationReader
  ) throws(ArchitectureFault) {
    for key in old.keys {
      let name = key == "type" ? "rope_type" : key
      guard new.value(name) == old.value(key) else {
        throw .configuration("rope_scaling.\(key)", "is not what rope_parameters say")
      }
    }
  }

  private static func scaling(
    _ nested: ConfigurationReader?, _ reader: ConfigurationReader, pairs: Int, contextLength: Int,
    defaultOriginal: Int?
  ) throws(ArchitectureFault) -> Scaling {
    guard let nested else { return .none }
    let new = try nested.optionalString("rope_type")
    let old = try nested.optionalString("type")
    if let new, let old, new != old, !(new == "longrope" && old == "su") {
      throw .configuration(
        "rope_type", "is \(Excerpt.quoted(new)), but type is \(Excerpt.quoted(old))")
    }
    func original() throws(ArchitectureFault) -> Int {
      try Self.original(
        nested, reader, contextLength: contextLength, default: defaultOriginal)
    }
    switch new ?? old ?? "default" {
    case "default", "dynamic":
      // Dynamic scaling changes nothing within max_position_embeddings, which bounds a context.
      return .none
    case "linear":
      return .linear(factor: try factor(nested))
    case "llama3":
      let low = try required(nested, "low_freq_factor")
      let high = try required(nested, "high_freq_factor")
      guard high > low else {
        throw .configuration("high_freq_factor", "is \(high), not above low_freq_factor \(low)")
      }
      return .llama3(
        factor: try factor(nested), low: low, high: high,
        original: Double(try original()))
    case "yarn":
      return try yarn(nested, original: Double(try original()))
    case "longrope", "su":
      return try long(
        nested, original: try original(), pairs: pairs, contextLength: contextLength)
    case let type:
      throw .configuration("rope_type", "is \(Excerpt.quoted(type)), which is not supported")
    }
  }

  /// original_max_position_embeddings: within the rope parameters; Phi-3 has it outside, with a
  /// default of its own.
  private static func original(
    _ nested: ConfigurationReader, _ reader: ConfigurationReader, contextLength: Int,
    default familyDefault: Int?
  ) throws(ArchitectureFault) -> Int {
    let key = "original_max_position_embeddings"
    let inner = try nested.optionalPositive(key)
    let outer = try reader.optionalPositive(key)
    let standard = familyDefault.map { outer ?? $0 } ?? contextLength
    let original = inner ?? standard
    guard original == outer ?? original, familyDefault == nil || original == standard else {
      throw .configuration(
        key, "is \(outer ?? standard), but the rope parameters say \(original)")
    }
    guard original > 1 else { throw .configuration(key, "is 1; expected more") }
    return original
  }

  private static func yarn(
    _ nested: ConfigurationReader, original: Double
  ) throws(ArchitectureFault) -> Scaling {
    for key in ["mscale", "mscale_all_dim", "truncate"] where nested.has(key) {
      throw .configuration("rope_scaling.\(key)", "is not supported with yarn")
    }
    let factor = try factor(nested)
    let attention = try nested.positiveNumber(
      "attention_factor", default: factor <= 1 ? 1 : 0.1 * log(factor) + 1)
    return .yarn(
      factor: factor, fast: try nested.positiveNumber("beta_fast", default: 32),
      slow: try nested.positiveNumber("beta_slow", default: 1), original: original,
      attention: attention)
  }

  private static func long(
    _ nested: ConfigurationReader, original: Int, pairs: Int, contextLength: Int
  ) throws(ArchitectureFault) -> Scaling {
    func divisors(_ key: String) throws(ArchitectureFault) -> [Double] {
      let values = try nested.numbers(key) ?? []
      guard values.count == pairs, values.allSatisfy({ $0 > 0 }) else {
        throw .configuration(
          key, "holds \(values.count) numbers; expected \(pairs) positive ones")
      }
      return values
    }
    let ratio = try nested.number("factor") ?? Double(contextLength) / Double(original)
    let standard = ratio <= 1 ? 1 : (1 + log(ratio) / log(Double(original))).squareRoot()
    return .long(
      short: try divisors("short_factor"), long: try divisors("long_factor"),
      original: original,
      attention: try nested.positiveNumber("attention_factor", default: standard))
  }

  private static func factor(_ nested: ConfigurationReader) throws(ArchitectureFault) -> Double {
    let factor = try required(nested, "factor")
    guard factor >= 1 else {
      throw .configuration("rope_scaling.factor", "is \(factor); expected at least 1")
    }
    return factor
  }

  private static func required(
    _ nested: ConfigurationReader, _ key: String
  ) throws(ArchitectureFault) -> Double {
    guard let number = try nested.number(key) else {
      throw .configuration("rope_scaling.\(key)", "is missing")
    }
    guard number > 0 else {
      throw .configuration("rope_scaling.\(key)", "is \(number); expected more than 0")
    }
    return number
  }
}
