import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What happens where a bundle is not proved to come from a trusted key.
public enum TrustPolicy: String, Sendable, CaseIterable {
  /// Nothing: signatures are not looked at.
  case off
  /// A warning.
  case warn
  /// The bundle is refused.
  case enforce
}

/// Whom a user trusts, and how much depends on it (docs/trust.md).
public struct TrustRequirement: Sendable {
  public let policy: TrustPolicy
  public let keys: [PublicKey]
  /// Where the highest sequence numbers seen are kept; nil where there is no place for them.
  let ledger: SequenceLedger?

  /// Signatures are not looked at.
  public static let off = TrustRequirement(policy: .off, keys: [], statePath: nil)

  public init(policy: TrustPolicy, keys: [PublicKey], statePath: String?) {
    self.policy = policy
    var seen: Set<Digest> = []
    self.keys = keys.filter { seen.insert($0.id).inserted }
    ledger = statePath.map { SequenceLedger(path: $0) }
  }

  /// What options, environment and configuration ask for, the first of these that names keys.
  ///
  /// Keys come from `paths`, else from the environment's SHARD_TRUST (files and directories
  /// between colons; empty for none), else from the directory `shardtool/trust` of the user's
  /// configuration. Without keys the policy is off unless one is named.
  ///
  /// - Parameters:
  ///   - paths: public keys or directories of them.
  ///   - policy: nil for enforcing what there are keys for.
  ///   - statePath: nil for SHARD_TRUST_STATE or the user's state directory.
  /// Throws: `PackageFault` ("not trusted") for keys that cannot be read.
  public init(
    paths: [String], policy: TrustPolicy? = nil, statePath: String? = nil,
    environment: (String) -> String? = TrustRequirement.variable
  ) throws {
    guard policy != .off else {
      self = .off
      return
    }
    let keys = try Self.keys(paths: paths, environment: environment)
    let policy = policy ?? (keys.isEmpty ? .off : .enforce)
    guard policy == .off || !keys.isEmpty else {
      throw PackageFault(
        "noTrustedKey",
        "no key is trusted, so no bundle is; give one with --trust, SHARD_TRUST or in "
          + "\(Self.directory(environment) ?? "shardtool/trust of your configuration")",
        exitStatus: .notTrusted)
    }
    self.init(
      policy: policy, keys: keys,
      statePath: statePath ?? Self.nonEmpty(environment("SHARD_TRUST_STATE"))
        ?? Self.place("XDG_STATE_HOME", ".local/state", "sequences.json", environment))
  }

  /// A variable of the environment.
  public static func variable(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  private static func keys(
    paths: [String], environment: (String) -> String?
  ) throws -> [PublicKey] {
    if !paths.isEmpty { return try paths.flatMap { try keys(at: $0) } }
    if let list = environment("SHARD_TRUST") {
      return try list.split(separator: ":").flatMap { try keys(at: String($0)) }
    }
    guard let directory = directory(environment), mayHoldKeys(directory) else { return [] }
    do { return try keys(in: directory) } catch let fault as FileFault {
      // Who has put keys there must not run without them because of a wrong permission.
      throw PackageFault(
        "noTrustedKey",
        "whom you trust is not known: \(fault.message); repair that, or say it with --trust, "
          + "--trust-policy or SHARD_TRUST (empty for nobody)",
        exitStatus: .notTrusted, context: fault.context)
    }
  }

  /// Whether something is there, as far as can be known: only what is surely missing is not.
  private static func mayHoldKeys(_ directory: String) -> Bool {
    var status = stat()
    return unsafe stat(directory, &status) == 0 || (errno != ENOENT && errno != ENOTDIR)
  }

  /// The key of a file, or those of a directory.
  private static func keys(at path: String) throws -> [PublicKey] {
    guard Directory.exists(path) else { return [try PublicKey(path: path)] }
    let keys = try keys(in: path)
    guard !keys.isEmpty else {
      throw PackageFault(
        "noTrustedKey", "\(path) holds no public key (*.pub or *.pem); put one there",
        exitStatus: .notTrusted, context: ["file": path])
    }
    return keys
  }

  private static func keys(in directory: String) throws -> [PublicKey] {
    try Directory.names(in: directory)
      .filter { $0.hasSuffix(".pub") || $0.hasSuffix(".pem") }
      .map { try PublicKey(path: "\(directory)/\($0)") }
  }

  private static func directory(_ environment: (String) -> String?) -> String? {
    place("XDG_CONFIG_HOME", ".config", "trust", environment)
  }

  /// `$VARIABLE/shardtool/NAME`, or the same below the home directory, which is that of HOME, else
  /// the one that the system knows of the user.
  static func place(
    _ variable: String, _ fallback: String, _ name: String, _ environment: (String) -> String?
  ) -> String? {
    // By the XDG specification, paths that are not absolute do not count.
    if let base = nonEmpty(environment(variable)), base.hasPrefix("/") {
      return "\(base)/shardtool/\(name)"
    }
    guard let home = nonEmpty(environment("HOME")) ?? accountHome() else { return nil }
    return "\(home)/\(fallback)/shardtool/\(name)"
  }

  private static func accountHome() -> String? {
    var entry = unsafe passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 1 << 16)
    let home = unsafe buffer.withUnsafeMutableBufferPointer { buffer -> String? in
      guard let base = buffer.baseAddress,
        unsafe getpwuid_r(getuid(), &entry, base, buffer.count, &found) == 0,
        unsafe found != nil, let home = unsafe entry.pw_dir
      else { return nil }
      return unsafe String(cString: home)
    }
    return nonEmpty(home)
  }

  private static func nonEmpty(_ text: String?) -> String? {
    text.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Runs a check of bytes that a signed manifest has described: where trust is enforced, bytes
  /// that differ are not trusted, whatever made them differ, and so is something else in the place
  /// of a file, such as a directory.
  func guarding<Result>(_ check: () throws -> Result) throws -> Result {
    guard policy == .enforce else { return try check() }
    do {
      return try check()
    } catch let fault as any Fault where [.badData, .noInput].contains(fault.exitStatus) {
      throw PackageFault(notAsSigned: fault)
    }
  }
}
