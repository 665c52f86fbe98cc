import ArgumentParser
import TensorCore

/// Whom to trust, for every command that reads a bundle.
///
/// A group of texts: what they mean is said where bundles are read.
public struct TrustOptions: ParsableArguments {
  public enum Policy: String, ExpressibleByArgument, CaseIterable, Sendable {
    case off, warn, enforce
  }

  @Option(
    name: .customLong("trust"),
    help: ArgumentHelp(
      "A public key, or a directory of them: the bundle has to be signed by one; repeatable.",
      discussion: """
        Without it, the keys in SHARD_TRUST (paths between colons) count, else those in \
        ~/.config/shardtool/trust.
        """,
      valueName: "public-key"),
    completion: .file())
  public var keys: [String] = []

  @Option(
    name: .customLong("trust-policy"),
    help: "What to do where it is not: off, warn or enforce (by default, where there is a key).")
  public var policy: Policy?

  @Option(
    name: .customLong("trust-state"),
    help: ArgumentHelp(
      "Where the highest number seen of each line of bundles is kept, so that none goes back.",
      discussion: "By default SHARD_TRUST_STATE, else ~/.local/state/shardtool/sequences.json.",
      valueName: "file"),
    completion: .file())
  public var state: String?

  public init() {}

  /// What these options are called.
  public static let names = ["--trust", "--trust-policy", "--trust-state"]

  /// The same options for another process.
  public var arguments: [String] {
    keys.flatMap { ["--trust", $0] } + (policy.map { ["--trust-policy", $0.rawValue] } ?? [])
      + (state.map { ["--trust-state", $0] } ?? [])
  }

  /// Warns of a bundle that is used although it is not proved whose it is: also where asked to be
  /// quiet, for somebody has asked to be warned.
  public func warn(_ doubts: [String]) {
    for doubt in doubts { Console.writeError("warning: \(Program.singleLine(doubt))\n") }
  }
}
