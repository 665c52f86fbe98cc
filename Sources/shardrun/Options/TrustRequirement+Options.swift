import CommandLineSupport
import ShardPackaging

extension TrustRequirement {
  /// What the command line, the environment and the user's configuration ask for.
  init(_ options: TrustOptions) throws {
    try self.init(
      paths: options.keys,
      policy: options.policy.flatMap { TrustPolicy(rawValue: $0.rawValue) },
      statePath: options.state)
  }
}
