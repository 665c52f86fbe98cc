import Quantization
import StrictJSON
import TensorCore

extension ComputeProfile {
  /// Known machines, for profiles that measure nothing themselves.
  public static let presets: [(name: String, profile: ComputeProfile)] = [
    ("core-i5-laptop", .coreI5Laptop), ("small-laptop-gpu", .smallLaptopGPU),
  ]

  var json: JSONValue {
    var object: JSONObject = [
      "weight_rate": JSONValue(weightBytesPerSecond),
      "operation_rate": JSONValue(operationsPerSecond),
      "layer_time": JSONValue(layerNanoseconds),
      "pass_time": JSONValue(passNanoseconds),
    ]
    if !weightBytesPerSecondByScheme.isEmpty {
      var rates = JSONObject()
      for (scheme, rate) in weightBytesPerSecondByScheme.sorted(by: { $0.key < $1.key }) {
        rates[scheme] = JSONValue(rate)
      }
      object["weight_rate_by_scheme"] = .object(rates)
    }
    return .object(object)
  }

  /// Reads a preset, single values that replace the preset's, or both.
  init(_ members: StrictObject, default preset: ComputeProfile) throws(PlanFault) {
    var object = members
    self = preset
    if let name = object.optional("preset") {
      guard let known = Self.presets.first(where: { .string($0.name) == name }) else {
        let names = Self.presets.map(\.name).joined(separator: ", ")
        throw object.fault("preset", "is unknown; there are \(names)")
      }
      self = known.profile
    }
    let rates = NodeProfile.rateRange
    if let rate = try object.rate("weight_rate", in: rates) { weightBytesPerSecond = rate }
    if let rate = try object.rate("operation_rate", in: rates) { operationsPerSecond = rate }
    let times = NodeProfile.nanosecondRange
    if let time = try object.nanoseconds("layer_time", in: times) { layerNanoseconds = time }
    if let time = try object.nanoseconds("pass_time", in: times) { passNanoseconds = time }
    if object.has("weight_rate_by_scheme") {
      var schemes = try object.nested("weight_rate_by_scheme")
      for scheme in schemes.keys {
        guard Schemes.stored(named: scheme) != nil else {
          let names = Schemes.stored.map(\.name).joined(separator: ", ")
          throw schemes.fault(scheme, "is no scheme; there are \(names)")
        }
        guard let rate = try schemes.rate(scheme, in: rates) else { continue }
        weightBytesPerSecondByScheme[scheme] = rate
      }
    }
    try object.finish()
  }
}

extension NodeProfile {
  public static let schema = "shardtool.node/1"

  /// The profile as JSON: bytes, nanoseconds and amounts per second as integers.
  public var json: JSONValue {
    var object: JSONObject = [
      "schema": .string(Self.schema),
      "name": .string(name),
      "ram": JSONValue(ramBytes),
      "reserve": JSONValue(reserveBytes),
      "compute": compute.json,
    ]
    if let machine {
      object["machine"] = [
        "cores": JSONValue(machine.cores), "threads": JSONValue(machine.threads),
        "instruction_set": .string(machine.instructionSet),
      ]
    }
    if vramBytes > 0 {
      object["vram"] = JSONValue(vramBytes)
      object["accelerator"] = accelerator.json
    }
    return .object(object)
  }

  /// Reads a profile, in a file of its own or in a list.
  public init(json value: JSONValue, source: String) throws(PlanFault) {
    try self.init(try StrictObject(value, place: "", source: source), inList: false)
  }

  init(_ members: StrictObject, inList: Bool) throws(PlanFault) {
    var object = members
    if !inList || object.has("schema") { try object.schema(Self.schema) }
    let name = try object.nodeName("name")
    guard let ram = try object.size("ram", in: 1...Self.maximumRAMBytes) else {
      throw object.fault("ram", "is missing; write it as \"8G\"")
    }
    let reserve = try object.size("reserve", in: 0...ram)
    let vram = try object.size("vram", in: 0...Self.maximumRAMBytes)
    self.init(name: name, ramBytes: ram, reserveBytes: reserve, vramBytes: vram ?? 0)
    if object.has("compute") {
      compute = try ComputeProfile(try object.nested("compute"), default: .coreI5Laptop)
    }
    if object.has("accelerator") {
      accelerator = try ComputeProfile(try object.nested("accelerator"), default: .smallLaptopGPU)
    }
    if object.has("machine") {
      var members = try object.nested("machine")
      let range = 1...PlanSettings.maximumThreads
      machine = Machine(
        cores: try members.int("cores", in: range), threads: try members.int("threads", in: range),
        instructionSet: try members.string("instruction_set"))
      try members.finish()
    }
    try object.finish()
  }

  /// Reads a profile that `shardrun probe` wrote.
  public static func read(from path: String) throws -> NodeProfile {
    try NodeProfile(json: try PlanFile.read(path), source: path)
  }
}

extension LinkProfile {
  /// The link as the file of nodes has it.
  public var json: JSONValue {
    ["round_trip": JSONValue(roundTripNanoseconds), "rate": JSONValue(bytesPerSecond)]
  }

  init(taking object: inout StrictObject) throws(PlanFault) {
    guard let time = try object.nanoseconds("round_trip", in: NodeProfile.nanosecondRange) else {
      throw object.fault("round_trip", "is missing; write it as \"300us\"")
    }
    guard let rate = try object.rate("rate", in: NodeProfile.rateRange) else {
      throw object.fault("rate", "is missing; write it as \"1Gbit/s\"")
    }
    self.init(roundTripNanoseconds: time, bytesPerSecond: rate)
  }

  /// The link as `--link` takes it.
  public var argument: String {
    let rate =
      bytesPerSecond < 1_000_000
      ? "\(bytesPerSecond)B/s"
      : "\(Quantity.fixed(Double(bytesPerSecond) * 1e-6, digits: 1))MB/s"
    return "\(rate),\(Quantity.fixed(Double(roundTripNanoseconds) * 1e-3, digits: 0))us"
  }

  /// A link as `--link` takes it: rate and time of a round trip, such as `1Gbit/s,300us`.
  public init(argument: String) throws(PlanFault) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, let rate = Quantity.bytesPerSecond(parts[0]),
      let time = Quantity.seconds(parts[1]),
      let bytes = Int(exactly: rate.rounded()), NodeProfile.rateRange.contains(bytes),
      let nanoseconds = Int(exactly: (time * 1e9).rounded()),
      NodeProfile.nanosecondRange.contains(nanoseconds)
    else {
      throw PlanFault.usage(
        "badLink",
        "the link \"\(argument.prefix(60))\" is not understood; write its rate and the "
          + "time of a round trip as 1Gbit/s,300us")
    }
    self.init(roundTripNanoseconds: nanoseconds, bytesPerSecond: bytes)
  }
}

extension Cluster {
  public static let schema = "shardtool.nodes/1"

  /// The cluster as a list of nodes and links.
  public var json: JSONValue {
    var links: [JSONValue] = []
    for (source, row) in pairLinks.enumerated() {
      for (target, link) in row.enumerated() {
        guard let link else { continue }
        links.append([
          "from": .string(nodes[source].name), "to": .string(nodes[target].name),
          "round_trip": JSONValue(link.roundTripNanoseconds),
          "rate": JSONValue(link.bytesPerSecond),
        ])
      }
    }
    return [
      "schema": .string(Self.schema), "link": defaultLink.json,
      "nodes": .array(nodes.map(\.json)), "links": .array(links),
    ]
  }

  /// Reads a list of nodes; the first is the coordinator, and any other may be left out.
  ///
  /// - Parameters:
  ///   - source: the file, for error sentences.
  ///   - profile: reads a profile that the list names by its file.
  public init(
    json value: JSONValue, source: String, profile: (String) throws -> NodeProfile
  ) throws {
    var root = try StrictObject(value, place: "", source: source)
    try root.schema(Self.schema)
    var nodes: [NodeProfile] = []
    for (index, element) in try root.array("nodes", limit: Self.maximumNodeCount).enumerated() {
      if let path = element.string {
        guard !path.isEmpty, !path.unicodeScalars.contains("\0") else {
          throw root.fault("nodes[\(index)]", "is \"\"; name a file, or describe the node")
        }
        nodes.append(try profile(path))
      } else {
        let object = try StrictObject(element, place: "nodes[\(index)]", source: source)
        nodes.append(try NodeProfile(object, inList: true))
      }
    }
    var defaultLink = LinkProfile.gigabitEthernet
    if root.has("link") {
      var object = try root.nested("link")
      defaultLink = try LinkProfile(taking: &object)
      try object.finish()
    }
    var links: [(from: String, to: String, link: LinkProfile)] = []
    if root.has("links") {
      let limit = Self.maximumNodeCount * Self.maximumNodeCount
      for (index, element) in try root.array("links", limit: limit).enumerated() {
        var object = try StrictObject(element, place: "links[\(index)]", source: source)
        let (from, to) = (try object.nodeName("from"), try object.nodeName("to"))
        links.append((from, to, try LinkProfile(taking: &object)))
        try object.finish()
      }
    }
    try root.finish()
    do {
      try self.init(nodes: nodes, defaultLink: defaultLink, links: links, allTakePart: false)
    } catch {
      // What is a wrong argument elsewhere is wrong data here.
      throw PlanFault(
        code: error.code, message: "\(source): \(error.message)", exitStatus: .badData,
        context: ["file": source])
    }
  }

  /// Writes a file of nodes whole or not at all.
  public func write(to path: String) throws(FileFault) {
    try Directory.create(Directory.parent(of: path))
    try Directory.writeAtomically(Array(json.serialized(.pretty).utf8), to: path)
  }

  /// Reads a file of nodes; profiles that it names lie relative to it.
  public static func read(from path: String) throws -> Cluster {
    let directory = Directory.parent(of: path)
    return try Cluster(json: try PlanFile.read(path), source: path) { name in
      try NodeProfile.read(from: name.hasPrefix("/") ? name : "\(directory)/\(name)")
    }
  }
}
