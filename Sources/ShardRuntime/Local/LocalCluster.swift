import Foundation
import ShardTransport
import StrictJSON
import Synchronization
import TensorCore

/// The other nodes of a bundle as child processes on this machine, each with its own shard,
/// reached over loopback TCP.
public final class LocalCluster: Sendable {
  private struct Member: Sendable {
    let node: String
    let process: ChildProcess
    /// Where it listens, once it has said so.
    var address: HostPort?
  }

  private let bundle: String
  private let program: String
  private let options: [String]
  private let current: Mutex<[Member]>

  private var members: [Member] { current.withLock { $0 } }

  /// Starts a process for each node; they verify and load their shards at the same time.
  ///
  /// - Parameters:
  ///   - bundle: a bundle directory with `nodes/NAME/` in it.
  ///   - program: the path of `shardrun`.
  ///   - options: passed on to `shardrun node`.
  /// Throws: `LocalFault` where the system refuses; what was started is stopped again.
  public init(
    bundle: String, nodes: [String], program: String, options: [String] = []
  ) throws(LocalFault) {
    (self.bundle, self.program, self.options) = (bundle, program, options)
    current = Mutex([])
    for node in nodes {
      do {
        let member = try start(node)
        current.withLock { $0.append(member) }
      } catch {
        stop(gracePeriod: .zero)
        throw error
      }
    }
  }

  private func start(_ node: String) throws(LocalFault) -> Member {
    let arguments =
      ["node", "\(bundle)/nodes/\(node)", "--node", node, "--listen", "127.0.0.1:0", "--json"]
      + ["--quiet", "--end-with-input"] + options
    return Member(node: node, process: try ChildProcess(program: program, arguments: arguments))
  }

  /// Starts the processes again that have ended, and in place of the node that is lost, which may
  /// hang, another one.
  public func replace(lost node: String?) throws(LocalFault) {
    for (index, member) in members.enumerated() {
      guard member.process.ended != nil || member.node == node else { continue }
      member.process.stop(gracePeriod: .zero)
      let next = try start(member.node)
      current.withLock { $0[index] = next }
    }
  }

  /// Waits until every node listens and says where.
  ///
  /// Throws: `LocalFault` with the error of the first node that ended instead.
  public func addresses(
    isInterrupted: () -> Bool = { false }
  ) throws(LocalFault) -> [(name: String, address: HostPort)] {
    var addresses: [(name: String, address: HostPort)] = []
    for (index, member) in members.enumerated() {
      if let known = member.address {
        addresses.append((member.node, known))
        continue
      }
      let address = try address(of: member, isInterrupted)
      current.withLock { $0[index].address = address }
      addresses.append((member.node, address))
    }
    return addresses
  }

  /// The child's first line says where it listens; an error object comes instead of it where the
  /// child gives up.
  private func address(
    of member: Member, _ isInterrupted: () -> Bool
  ) throws(LocalFault) -> HostPort {
    var received: [UInt8] = []
    while received.count < 1 << 20 {
      if let address = firstLine(received)?["listen"]?.string.flatMap({ try? HostPort($0) }) {
        return address
      }
      switch member.process.output.read(within: .milliseconds(100)) {
      case .bytes(let bytes): received += bytes
      case .nothingYet:
        if isInterrupted() { throw .interrupted }
        if let other = members.first(where: { $0.process.ended != nil && $0.node != member.node }) {
          _ = try address(of: other, isInterrupted)
        }
      case .end:
        let error = (try? JSONParsing().parse(received))?["error"]?.object
        member.process.stop()
        throw error.flatMap { .reported(by: member.node, $0) }
          ?? .died(node: member.node, member.process.ended)
      }
    }
    throw .died(node: member.node, nil)
  }

  private func firstLine(_ received: [UInt8]) -> JSONValue? {
    guard let end = received.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    return try? JSONParsing().parse(Array(received[..<end]))
  }

  /// The reason behind an error of the pipeline, where it is that a node's process has ended.
  public func explain(_ error: any Error) -> any Error {
    guard let fault = error as? any Fault, fault.exitStatus == .unavailable else { return error }
    // A connection may close a moment before the system reports the end of its process.
    let deadline = ContinuousClock.now + .milliseconds(100)
    repeat {
      for member in members {
        if let exit = member.process.ended { return LocalFault.died(node: member.node, exit) }
      }
      usleep(5000)
    } while ContinuousClock.now < deadline
    return error
  }

  /// Process identifiers by node, for diagnostics.
  public var identifiers: [(node: String, identifier: Int32)] {
    members.map { ($0.node, $0.process.identifier) }
  }

  /// Ends all processes and waits until they are gone; kills those that take longer than the
  /// grace period.
  public func stop(gracePeriod: Duration = .seconds(1)) {
    for member in members { member.process.requestEnd() }
    for member in members { member.process.stop(gracePeriod: gracePeriod) }
  }
}
