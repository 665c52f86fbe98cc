import Logging
import ShardTransport

/// Serves one node's layers to a coordinator, one after another.
public final class NodeServer: Sendable {
  public init(stage: Stage, listen address: HostPort, logger: Logger = Logger(label: "shardrun.node")) {
  }

  /// Begins to listen and returns the address with its actual port.
  public func start() throws -> HostPort { HostPort(host: "", port: 0) }

  /// Returns after `shutdown`.
  public func waitUntilClosed() {}

  /// Says goodbye to the coordinator and stops; the token being computed is finished first.
  public func shutdown() {}
}
