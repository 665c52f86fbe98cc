import Checkpoints
import ModelArchitectures
import Quantization
import StrictJSON
import TensorCore
import TensorKernels

/// One tensor of a GGUF file in the making, and which of ours it is put together from.
struct GGUFOutputTensor: Sendable {
  let name: String
  let component: Component
  let type: GGUFTensorType
  /// As safetensors have it; experts come first.
  let shape: [Int]
  /// Our tensors in it.
  let members: [(spec: TensorSpec, place: GGUFPlace)]

  var isVector: Bool { members[0].spec.shape.count == 1 }
  private var columns: Int { shape[shape.count - 1] }
  private var rows: Int { shape.dropLast().reduce(1, *) }

  /// Weights made at a time.
  private static let bandElementCount = 256 << 10

  /// Rows that are made together; a vector is made whole.
  var bands: [Range<Int>] {
    guard !isVector else { return [0..<1] }
    let step = max(1, Self.bandElementCount / columns)
    return stride(from: 0, to: rows, by: step).map { $0..<min($0 + step, rows) }
  }

  /// All tensors of a model, in the order of execution.
  ///
  /// Throws: `PreparationFault` where kept weights have a scheme that GGUF does not know.
  static func all(
    _ architecture: any ModelArchitecture, _ family: GGUFFamily, source: any GGUFExportSource,
    type: GGUFExport.WeightType
  ) throws -> [GGUFOutputTensor] {
    var seen: Set<String> = []
    var names: [String] = []
    var members: [String: [(spec: TensorSpec, place: GGUFPlace)]] = [:]
    var components: [String: Component] = [:]
    let d = architecture.dimensions
    for component in architecture.components {
      for spec in architecture.tensors(of: component) where seen.insert(spec.name).inserted {
        guard let place = family.places(of: spec, d).first else {
          throw PreparationFault(
            "noGraph", "tensor \(spec.name) of \(source.name) has no place in a GGUF file",
            context: ["file": source.name, "tensor": spec.name])
        }
        if members[place.name] == nil { names.append(place.name) }
        members[place.name, default: []].append((spec, place))
        components[place.name] = component
      }
    }
    // Two families' graphs ask for a head of its own, even where it is the embedding.
    let wantsHead = ["gptneox", "stablelm"].contains(family.architecture) && d.tiesEmbeddings
    var outputs = try names.map { name in
      try GGUFOutputTensor(
        name, components[name] ?? .head, members[name] ?? [], source: source, type: type,
        isHead: name == "output.weight" || (name == "token_embd.weight" && d.tiesEmbeddings))
    }
    if wantsHead, let embedding = outputs.first(where: { $0.name == "token_embd.weight" }) {
      outputs.append(embedding.renamed("output.weight"))
    }
    return outputs
  }

  private func renamed(_ name: String) -> GGUFOutputTensor {
    GGUFOutputTensor(
      name: name, component: component, type: type, shape: shape, members: members)
  }

  private init(
    name: String, component: Component, type: GGUFTensorType, shape: [Int],
    members: [(spec: TensorSpec, place: GGUFPlace)]
  ) {
    self.name = name
    self.component = component
    self.type = type
    self.shape = shape
    self.members = members
  }

  private init(
    _ name: String, _ component: Component, _ members: [(spec: TensorSpec, place: GGUFPlace)],
    source: any GGUFExportSource, type: GGUFExport.WeightType, isHead: Bool
  ) throws(PreparationFault) {
    self.name = name
    self.component = component
    self.members = members
    let first = members[0].spec
    let count = members.reduce(0) {
      $0 + ($1.spec.shape.count == 1 ? $1.spec.columns : $1.spec.rows)
    }
    if first.shape.count == 1 {
      // Norms of all heads are one matrix there.
      shape =
        name.contains("attn_q_norm") || name.contains("attn_k_norm")
        ? (members.count > 1 ? [members.count, first.columns] : [count]) : [count]
    } else if name.contains("_exps.") {
      shape = [members.count, first.rows, first.columns]
    } else {
      shape = [count, first.columns]
    }
    self.type = try Self.type(
      name, members.map(\.spec), source: source, wanted: type, isHead: isHead)
  }

  /// What the weights become: vectors, routers and positions stay floats; a type whose blocks do
  /// not fit into the rows gives way to a larger one.
  private static func type(
    _ name: String, _ specs: [TensorSpec], source: any GGUFExportSource,
    wanted: GGUFExport.WeightType, isHead: Bool
  ) throws(PreparationFault) -> GGUFTensorType {
    let spec = specs[0]
    if wanted == .keep, spec.shape.count == 2 {
      let formats = Set(specs.compactMap { source.format(of: $0) })
      guard formats.count == 1, let format = formats.first,
        let type = GGUFTensorType.allCases.first(where: { $0.weightFormat == format })
      else {
        let names = formats.map(\.rawValue).sorted().joined(separator: " and ")
        throw PreparationFault(
          "noSuchType",
          "\(name) of \(source.name) is stored as \(names), which one tensor of a GGUF file cannot "
            + "be; choose another --type than keep",
          exitStatus: .usage, context: ["file": source.name, "tensor": name])
      }
      return type
    }
    guard spec.shape.count == 2, spec.role.isQuantizable else { return .f32 }
    let columns = spec.columns
    let eight: GGUFTensorType = columns % 32 == 0 ? .q8_0 : .f16
    switch wanted {
    case .keep, .f16: return .f16
    case .q8_0: return eight
    case .q4_0 where isHead, .q4_k where isHead, .q6_k:
      return columns % 256 == 0 ? .q6_k : eight
    case .q4_0: return columns % 32 == 0 ? .q4_0 : .f16
    case .q4_k: return columns % 256 == 0 ? .q4_k : columns % 32 == 0 ? .q5_0 : .f16
    }
  }

  /// The bytes of some rows as the file has them.
  func bytes(rows: Range<Int>, from source: any GGUFExportSource) throws -> [UInt8] {
    guard !isVector else { return try vector(source) }
    // Blocks of the very type are copied.
    if members.allSatisfy({ source.format(of: $0.spec) == type.weightFormat }) {
      return try runs(rows).flatMap { try source.bytes($0.spec, rows: $0.rows) }
    }
    var floats: [Float] = []
    floats.reserveCapacity(rows.count * columns)
    for run in runs(rows) { floats += try source.floats(run.spec, rows: run.rows) }
    return try encoded(floats, rowCount: rows.count)
  }

  private func encoded(_ floats: [Float], rowCount: Int) throws -> [UInt8] {
    if type == .f16, let value = floats.first(where: { abs($0) >= 65_520 }) {
      throw PreparationFault(
        "outOfRange",
        "tensor \(members[0].spec.name) holds \(value), which a 16-bit float cannot hold; choose "
          + "another --type than f16", context: ["tensor": members[0].spec.name])
    }
    guard let scheme = type.weightFormat.flatMap({ Schemes.stored(named: $0.rawValue) }) else {
      preconditionFailure("\(type.name) has no scheme")
    }
    var planes: [[UInt8]] = []
    scheme.encode(floats.span, rowCount: rowCount, columns: columns, into: &planes)
    return planes[0]
  }

  /// Which of our tensors and rows is a row of the file.
  private func member(_ row: Int) -> (spec: TensorSpec, row: Int) {
    for (spec, place) in members {
      let own = row - place.first
      guard own >= 0, own < spec.rows else { continue }
      return (spec, place.ownRow(of: row))
    }
    preconditionFailure("row \(row) of \(name) is nobody's")
  }

  /// Rows of the file as runs of ours.
  private func runs(_ rows: Range<Int>) -> [(spec: TensorSpec, rows: Range<Int>)] {
    var runs: [(spec: TensorSpec, rows: Range<Int>)] = []
    for row in rows {
      let (spec, own) = member(row)
      if let last = runs.last, last.spec.name == spec.name, last.rows.upperBound == own {
        runs[runs.count - 1].rows = last.rows.lowerBound..<own + 1
      } else {
        runs.append((spec, own..<own + 1))
      }
    }
    return runs
  }

  private func vector(_ source: any GGUFExportSource) throws -> [UInt8] {
    var floats: [Float] = []
    for (spec, place) in members.sorted(by: { $0.place.first < $1.place.first }) {
      let own = try source.floats(spec, rows: 0..<1)
      floats += own.indices.map { own[place.ownRow(of: place.first + $0)] + place.addend }
    }
    var planes: [[UInt8]] = []
    Schemes.f32.encode(floats.span, rowCount: 1, columns: floats.count, into: &planes)
    return planes[0]
  }
}

extension GGUFPlace {
  /// The inverse of `row`: which row of ours a stored one is.
  func ownRow(of stored: Int) -> Int {
    guard let dimension = pairedDimension else { return stored - first }
    let (head, place) = (stored - first).quotientAndRemainder(dividingBy: dimension)
    return head * dimension + place % 2 * (dimension / 2) + place / 2
  }
}
