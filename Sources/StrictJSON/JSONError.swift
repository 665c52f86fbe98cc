/// Why a text is not strict JSON, and where.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Byte offset of the fault in the text.
  public let offset: Int
  public let message: String

  public init(offset: Int, message: String) {
    self.offset = offset
    self.message = message
  }

  public var description: String { "\(message), at byte \(offset)" }
}
