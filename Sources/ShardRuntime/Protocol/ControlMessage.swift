import ShardTransport
import StrictJSON

/// Messages that make and watch over a ring; their payload is JSON.
enum ControlMessage: Sendable, Equatable {
  /// The first message on every link, from the side that made it.
  case hello(Hello)
  /// The answer to a hello that fits.
  case welcome(StageDescription)
  /// From the coordinator: the node's place in the ring.
  case join(Join)
  /// To the coordinator: both neighbours are there.
  case joined
  case statisticsRequest(restart: Bool)
  case statistics(NodeStatistics)
  /// The first message of a link that is only to be measured, and the answer to it.
  case probe
  /// The first message of a link that only asks, and any after it; an echo comes back as it is.
  case statusRequest(isEcho: Bool)
  case status(NodeStatus)

  struct Hello: Sendable, Equatable {
    enum Role: String, Sendable { case coordinator, upstream }
    var protocolVersion = ControlMessage.protocolVersion
    var role: Role
    /// Different for each ring ever made.
    var run: String
    /// How many the ring will use, from 0 on.
    var sequences: Int
    var bundleID: String
    /// Who speaks, and to whom it believes to speak.
    var from: String
    var to: String
  }

  struct Join: Sendable, Equatable {
    var previous: String
    /// Whom to send to; nil for the last node, which answers the coordinator.
    var next: Peer?
  }

  struct Peer: Sendable, Equatable {
    var name: String
    var address: HostPort
  }

  static let protocolVersion = 3

  private enum Kind: UInt8 {
    case hello = 16
    case welcome, join, joined, statisticsRequest, statistics, probe, statusRequest, status
  }

  var frame: Frame {
    let (kind, object) = encoded
    let text = JSONValue.object(object).serialized(.compact)
    return Frame(kind: kind.rawValue, payload: Array(text.utf8))
  }

  private var encoded: (Kind, JSONObject) {
    switch self {
    case .hello(let hello):
      let object: JSONObject = [
        "protocol": .integer(Int64(hello.protocolVersion)), "role": .string(hello.role.rawValue),
        "run": .string(hello.run), "sequences": .integer(Int64(hello.sequences)),
        "bundle": .string(hello.bundleID), "from": .string(hello.from), "to": .string(hello.to),
      ]
      return (.hello, object)
    case .welcome(let description): return (.welcome, description.object)
    case .join(let join):
      let next = join.next.map { peer -> JSONValue in
        [
          "node": .string(peer.name), "host": .string(peer.address.host),
          "port": .integer(Int64(peer.address.port)),
        ]
      }
      return (.join, ["previous": .string(join.previous), "next": next ?? .null])
    case .joined: return (.joined, [:])
    case .statisticsRequest(let restart): return (.statisticsRequest, ["restart": .bool(restart)])
    case .statistics(let statistics): return (.statistics, statistics.object)
    case .probe: return (.probe, ["protocol": .integer(Int64(Self.protocolVersion))])
    case .statusRequest(let isEcho):
      let version = JSONValue.integer(Int64(Self.protocolVersion))
      return (.statusRequest, ["protocol": version, "echo": .bool(isEcho)])
    case .status(let status): return (.status, status.object)
    }
  }

  init(_ frame: Frame) throws(RuntimeFault) {
    guard let kind = Kind(rawValue: frame.kind) else {
      throw PayloadReader.malformed("kind \(frame.kind) is unknown")
    }
    guard case .object(let object)? = try? JSONParsing().parse(frame.payload) else {
      throw PayloadReader.malformed("\(kind) is no JSON object")
    }
    let fields = MessageFields(object)
    switch kind {
    case .hello:
      // The version comes first: another version may have other fields.
      try Self.requireVersion(fields)
      guard let role = Hello.Role(rawValue: try fields.string("role")) else {
        throw PayloadReader.malformed("role is unknown")
      }
      let sequences = try fields.integer("sequences")
      guard sequences >= 1 else { throw PayloadReader.malformed("a ring without sequences") }
      self = .hello(
        Hello(
          role: role, run: try fields.string("run"), sequences: sequences,
          bundleID: try fields.string("bundle"), from: try fields.string("from"),
          to: try fields.string("to")))
    case .welcome: self = .welcome(try StageDescription(fields))
    case .join:
      self = .join(
        Join(previous: try fields.string("previous"), next: try Self.peer(object["next"])))
    case .joined: self = .joined
    case .statisticsRequest: self = .statisticsRequest(restart: try fields.bool("restart"))
    case .statistics: self = .statistics(try NodeStatistics(fields))
    case .probe:
      try Self.requireVersion(fields)
      self = .probe
    case .statusRequest:
      try Self.requireVersion(fields)
      self = .statusRequest(isEcho: try fields.bool("echo"))
    case .status: self = .status(try NodeStatus(fields))
    }
  }

  private static func requireVersion(_ fields: MessageFields) throws(RuntimeFault) {
    let version = try fields.integer("protocol")
    guard version == protocolVersion else {
      throw RuntimeFault(
        "protocolVersion",
        "the other side speaks protocol version \(version), this one \(protocolVersion); "
          + "use the same release on all nodes")
    }
  }

  private static func peer(_ value: JSONValue?) throws(RuntimeFault) -> Peer? {
    guard let value, !value.isNull else { return nil }
    guard let object = value.object else { throw PayloadReader.malformed("next is no object") }
    let fields = MessageFields(object)
    let (host, port) = (try fields.string("host"), try fields.integer("port"))
    guard port <= 65_535 else { throw PayloadReader.malformed("port \(port) is none") }
    return Peer(name: try fields.string("node"), address: HostPort(host: host, port: port))
  }
}

/// The members of a control message, each checked for its type.
struct MessageFields {
  private let object: JSONObject

  init(_ object: JSONObject) { self.object = object }

  func string(_ key: String) throws(RuntimeFault) -> String {
    guard let value = object[key]?.string, value.utf8.count <= 1024 else { throw wrong(key) }
    return value
  }

  /// A number from 0 to 2⁵³.
  func integer(_ key: String) throws(RuntimeFault) -> Int {
    guard let value = object[key]?.int, value >= 0, value <= 1 << 53 else { throw wrong(key) }
    return value
  }

  /// The same, or null.
  func optionalInteger(_ key: String) throws(RuntimeFault) -> Int? {
    if let value = object[key], value.isNull { return nil }
    return try integer(key)
  }

  func bool(_ key: String) throws(RuntimeFault) -> Bool {
    guard let value = object[key]?.bool else { throw wrong(key) }
    return value
  }

  func strings(_ key: String) throws(RuntimeFault) -> [String] {
    guard let values = object[key]?.array, values.count <= 1024 else { throw wrong(key) }
    var strings: [String] = []
    for value in values {
      guard let string = value.string, string.utf8.count <= 1024 else { throw wrong(key) }
      strings.append(string)
    }
    return strings
  }

  /// The members of an object within.
  func object(_ key: String) throws(RuntimeFault) -> MessageFields {
    guard let value = object[key]?.object else { throw wrong(key) }
    return MessageFields(value)
  }

  /// A text, or null.
  func optionalString(_ key: String) throws(RuntimeFault) -> String? {
    if let value = object[key], value.isNull { return nil }
    return try string(key)
  }

  /// A number of seconds, or null.
  func seconds(_ key: String) throws(RuntimeFault) -> Double? {
    guard let value = object[key] else { throw wrong(key) }
    if value.isNull { return nil }
    guard let seconds = value.double, seconds.isFinite, seconds >= 0 else { throw wrong(key) }
    return seconds
  }

  func range(_ key: String) throws(RuntimeFault) -> Range<Int> {
    guard let bounds = object[key]?.array, bounds.count == 2, let lower = bounds[0].int,
      let upper = bounds[1].int, lower >= 0, lower <= upper
    else { throw wrong(key) }
    return lower..<upper
  }

  private func wrong(_ key: String) -> RuntimeFault {
    PayloadReader.malformed("its member \(key) is missing or of a wrong kind")
  }
}
