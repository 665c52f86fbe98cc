import TensorCore
import TestSupport

/// One reader of what comes from outside, to be fed with any bytes at all: by a fuzzer that looks
/// for bytes that break it, and by tests with the bytes that are kept in `fixtures/fuzz`.
public struct FuzzTarget: Sendable {
  /// What became of some bytes.
  public enum Verdict: Equatable, Sendable {
    case accepted
    case refused(code: String)
    /// The reader did what it never may: the sentence says what.
    case broken(String)
  }

  /// The name of its folder in `fixtures/fuzz`.
  public let name: String
  /// Longer inputs say nothing new.
  public let maximumByteCount: Int
  private let prepare: @Sendable (FuzzPlace) throws -> Void
  private let read: @Sendable ([UInt8], FuzzPlace) throws -> Void

  /// - Parameters:
  ///   - prepare: puts into the place what has to lie beside the input, once.
  ///   - read: hands the input to the reader that users' files go through.
  public init(
    _ name: String, maximumByteCount: Int = 8192,
    prepare: @escaping @Sendable (FuzzPlace) throws -> Void = { _ in },
    read: @escaping @Sendable ([UInt8], FuzzPlace) throws -> Void
  ) {
    self.name = name
    self.maximumByteCount = maximumByteCount
    self.prepare = prepare
    self.read = read
  }

  /// A place for `verdict`; several runs share it.
  public func makePlace() throws -> FuzzPlace {
    let place = try FuzzPlace()
    try prepare(place)
    return place
  }

  /// Reads some bytes; whatever they are, they are accepted or refused with one sentence.
  public func verdict(on bytes: [UInt8], in place: FuzzPlace) -> Verdict {
    do {
      try read(bytes, place)
      return .accepted
    } catch let fault as any Fault {
      if let objection = Self.objection(to: fault) { return .broken(objection) }
      return .refused(code: fault.code)
    } catch {
      return .broken("throws \(type(of: error)), which is no sentence for users: \(error)")
    }
  }

  /// Bytes of the longest sentence that someone reads.
  static let maximumSentenceByteCount = 2000

  private static func objection(to fault: any Fault) -> String? {
    let count = fault.message.utf8.count
    guard (20...maximumSentenceByteCount).contains(count) else {
      return "\(fault.code) has a message of \(count) bytes: \(fault.message.prefix(200))"
    }
    guard fault.code.contains(".") else { return "the code \(fault.code) names no module" }
    switch fault.exitStatus {
    case .badData, .noInput, .notTrusted, .doesNotFit: return nil
    default: return "\(fault.code) ends with \(fault.exitStatus) for bad bytes: \(fault.message)"
    }
  }

  /// All of them, by the names of their folders.
  public static let all: [FuzzTarget] =
    checkpoints + tokenizers + plans + bundles

  public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// A directory in which a target's files lie.
public final class FuzzPlace: Sendable {
  private let directory: TemporaryDirectory

  public var path: String { directory.path }

  init() throws { directory = try TemporaryDirectory() }

  /// Writes a file and returns its path.
  public func write(_ bytes: [UInt8], as name: String) throws -> String {
    let path = directory.appending(name)
    try OutputFile(path: path).write(bytes, at: 0)
    return path
  }
}
