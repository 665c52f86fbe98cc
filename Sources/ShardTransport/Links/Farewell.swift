import StrictJSON
import TensorCore

/// The last words of a side that closes a link: a fault, or the plain end of a run.
public struct Farewell: Sendable, Equatable {
  public var code: String
  public var message: String
  public var exitStatus: ExitStatus
  public var context: [String: String]

  public init(
    _ code: String, _ message: String, exitStatus: ExitStatus = .unavailable,
    context: [String: String] = [:]
  ) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }

  public init(_ fault: any Fault) {
    self.init(fault.code, fault.message, exitStatus: fault.exitStatus, context: fault.context)
  }

  /// The payload of a farewell frame.
  var payload: [UInt8] {
    let members = context.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }
    var details = JSONObject()
    for (key, value) in members { details[key] = value }
    let object: JSONObject = [
      "code": .string(code), "message": .string(message),
      "exit": .integer(Int64(exitStatus.rawValue)), "context": .object(details),
    ]
    return Array(JSONValue.object(object).serialized(.compact).utf8)
  }

  /// Reads a payload; what a stranger says is cut to a length and cleaned of control characters.
  init?(payload: [UInt8]) {
    guard case .object(let object)? = try? JSONParsing().parse(payload),
      case .string(let code)? = object["code"], case .string(let message)? = object["message"],
      case .integer(let number)? = object["exit"], let number = Int32(exactly: number)
    else { return nil }
    self.init(
      Self.cleaned(code, most: 64), Self.cleaned(message, most: 1000),
      exitStatus: ExitStatus(rawValue: number) ?? .unavailable)
    guard case .object(let details)? = object["context"] else { return }
    for (key, value) in details.members.prefix(16) {
      guard case .string(let text) = value else { continue }
      context[Self.cleaned(key, most: 64)] = Self.cleaned(text, most: 256)
    }
  }

  private static func cleaned(_ text: String, most: Int) -> String {
    let printable = text.unicodeScalars.lazy.filter {
      $0.properties.generalCategory != .control && $0.properties.generalCategory != .format
    }
    var result = String.UnicodeScalarView()
    result.append(contentsOf: printable.prefix(most))
    return String(result)
  }
}

/// Why a link ended.
public enum LinkClosure: Sendable, Equatable {
  /// The other side said goodbye.
  case farewell(Farewell)
  /// The connection broke or was closed without a word; the system's reason where it gave one.
  case broken(String?)
  /// Nothing was heard for so long, though the connection seemed open.
  case silent(Duration)
  /// The other side broke the protocol; the code and sentence of the fault.
  case violated(code: String, message: String)
  /// This side closed the link.
  case closedHere

  static func violated(_ fault: TransportFault) -> LinkClosure {
    .violated(code: fault.code, message: fault.message)
  }
}

extension LinkClosure: CustomStringConvertible {
  /// Half a sentence that follows a name: "node-1 *closed the connection*".
  public var description: String {
    switch self {
    case .farewell(let farewell): "said: \(farewell.message)"
    case .broken(nil): "closed the connection"
    case .broken(let reason?): "lost the connection (\(reason))"
    case .silent(let time): "has been silent for \(Quantity.fixed(time.inSeconds, digits: 1)) s"
    case .violated(_, let message) where isDistrust: "was turned away: \(message)"
    case .violated(_, let message): "broke the protocol: \(message)"
    case .closedHere: "was disconnected by this side"
    }
  }
}
