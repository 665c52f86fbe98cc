import Foundation
import TensorCore

/// Where tests find their data.
public enum Places {
  /// The root of the package, found from this file.
  public static let packageRoot: String = {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path
  }()

  /// `fixtures/NAME`.
  public static func fixture(_ name: String) -> String { "\(packageRoot)/fixtures/\(name)" }

  /// The larger reference set, where this machine has it: the folder that the environment
  /// variable SHARD_REFERENCE names, else `../shared/reference/public` beside the package.
  public static let referenceSet: String? = {
    let named = ProcessInfo.processInfo.environment["SHARD_REFERENCE"]
    let path = named ?? "\(packageRoot)/../shared/reference/public"
    return Directory.exists(path) ? path : nil
  }()

  /// Directories of one part of the reference set, such as `models`; empty where it is absent.
  public static func referenceDirectories(_ part: String) -> [String] {
    referenceSet.map { directories(in: "\($0)/\(part)") } ?? []
  }

  /// The directories within one, by path; none where it is absent.
  public static func directories(in path: String) -> [String] {
    let names = (try? Directory.names(in: path)) ?? []
    return names.map { "\(path)/\($0)" }.filter(Directory.exists)
  }

  /// The directory of the programs that this build made.
  public static let programs: String = {
    var url = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    while url.path != "/" {
      url.deleteLastPathComponent()
      if Directory.isFile(url.path + "/shardtool") { return url.path }
    }
    return "\(packageRoot)/.build/release"
  }()
}

/// A directory of its own for one test, removed with the value.
public final class TemporaryDirectory: Sendable {
  public let path: String

  public init() throws {
    path = FileManager.default.temporaryDirectory.path + "/shard-test-\(UUID().uuidString)"
    try Directory.create(path)
  }

  deinit { try? Directory.remove(path) }

  public func appending(_ name: String) -> String { path + "/" + name }
}

/// A small generator with a seed (SplitMix64), so that property tests can be repeated.
public struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
