/// A network address as users write it: `laptop2:7070`, `192.168.1.5:7070`, `[::1]:7070`.
public struct HostPort: Sendable, Hashable, CustomStringConvertible {
  /// Name or numeric address, without brackets.
  public let host: String
  /// 0 lets the system choose when listening.
  public let port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Reads `HOST:PORT` or `[IPv6]:PORT`.
  ///
  /// Throws: `transport.address` for anything else.
  public init(_ text: String) throws(TransportFault) {
    guard let colon = text.lastIndex(of: ":") else { throw Self.malformed(text) }
    var host = text[..<colon]
    let digits = text[text.index(after: colon)...]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard !host.isEmpty, host.utf8.count <= Self.longestHost, isBracketed || !host.contains(":"),
      host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "[") }),
      !digits.isEmpty, digits.utf8.count <= 5,
      digits.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
      let port = Int(digits), port <= 65_535
    else { throw Self.malformed(text) }
    self.init(host: String(host), port: port)
  }

  public var description: String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  /// Whether only this machine can reach it: `localhost`, 127.0.0.0/8 and ::1.
  public var isLoopback: Bool {
    let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
    let isAddress = numbers.count == 4 && numbers.allSatisfy { UInt8($0) != nil }
    return host == "localhost" || host == "::1" || isAddress && numbers[0] == "127"
  }

  /// The longest name that DNS allows.
  private static let longestHost = 253

  private static func malformed(_ text: String) -> TransportFault {
    TransportFault(
      "address", "'\(text)' is no address; write HOST:PORT, such as 192.168.1.5:7070 or [::1]:7070",
      exitStatus: .usage, context: ["address": text])
  }
}
