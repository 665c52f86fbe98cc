import ShardPackaging
import TensorCore

/// Where a node's directory is shipped to.
public enum ShipTarget: Sendable, Equatable, CustomStringConvertible {
  /// On this machine, such as a USB stick.
  case directory(String)
  /// Over ssh; `destination` is what ssh takes: `host` or `user@host`.
  case remote(destination: String, directory: String)

  /// Reads `DIR`, `host:DIR` or `user@host:DIR`: with a colon before the first slash it is
  /// another machine, as scp has it.
  ///
  /// Throws: `PreparationFault` with exit status 64.
  public init(_ text: String) throws(PreparationFault) {
    let head = text.prefix { $0 != "/" }
    let bracket = head.lastIndex(of: "]")
    let search = bracket.map { head[$0...] } ?? head
    guard let colon = search.firstIndex(of: ":") else {
      guard !text.isEmpty else { throw Self.fault(text, "it is empty") }
      self = .directory(text)
      return
    }
    let destination = text[..<colon].filter { $0 != "[" && $0 != "]" }
    var directory = text[text.index(after: colon)...]
    if directory == "~" || directory == "~/" { directory = "" }
    if directory.hasPrefix("~/") { directory = directory.dropFirst(2) }
    guard !destination.isEmpty, !destination.hasPrefix("-"), !destination.hasSuffix("@"),
      destination.allSatisfy({ !$0.isWhitespace && $0.isASCII })
    else { throw Self.fault(text, "\"\(destination)\" is no host") }
    guard !directory.isEmpty, !directory.hasPrefix("~") else {
      throw Self.fault(text, "it names no directory there")
    }
    guard directory.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
      throw Self.fault(text, "its directory has control characters")
    }
    self = .remote(destination: String(destination), directory: String(directory))
  }

  private static func fault(_ text: String, _ problem: String) -> PreparationFault {
    PreparationFault(
      "shipTarget",
      "\(text) is no target to ship to: \(problem); give a directory, or user@host:directory",
      exitStatus: .usage, context: ["target": text])
  }

  public var description: String {
    switch self {
    case .directory(let path): path
    case .remote(let destination, let directory): "\(destination):\(directory)"
    }
  }

  /// What tells targets apart, however they are written.
  var identity: String {
    switch self {
    case .directory(let path): Directory.resolved(path) ?? path
    case .remote: description
    }
  }
}
