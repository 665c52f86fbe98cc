import Foundation
import ShardPackaging
import StrictJSON
import TensorCore

/// One node's part of a bundle on its way to one target.
public struct Shipment: Sendable {
  public let sender: ShipSender
  public let target: ShipTarget
  public let shell: SecureShellOptions
  /// How often a broken connection is made again before anything new has come.
  public let retries: Int
  /// Seconds without a byte after which a connection counts as broken.
  public let patience: Int

  public init(
    sender: ShipSender, target: ShipTarget, shell: SecureShellOptions, retries: Int,
    patience: Int = 120
  ) {
    self.sender = sender
    self.target = target
    self.shell = shell
    self.retries = retries
    self.patience = patience
  }

  /// What came of it.
  public struct Outcome: Sendable {
    public let node: String
    public let target: String
    public let bundleID: String
    /// Bytes of the node's blobs.
    public let byteCount: Int
    /// Bytes of chunks that the target had already when the last connection was made.
    public let keptByteCount: Int
    /// Bytes of chunks that the last connection brought.
    public let receivedByteCount: Int
    /// Bytes given to the wire in all connections, frames and manifests among them.
    public let sentByteCount: Int
    /// Connections that broke.
    public let interruptions: Int
    public let replacedOlder: Bool
    public let seconds: Double

    public var json: JSONValue {
      [
        "node": .string(node), "target": .string(target), "bundle_id": .string(bundleID),
        "bytes": JSONValue(byteCount), "kept_bytes": JSONValue(keptByteCount),
        "received_bytes": JSONValue(receivedByteCount), "sent_bytes": JSONValue(sentByteCount),
        "interruptions": JSONValue(interruptions), "replaced": .bool(replacedOlder),
        "seconds": .double(seconds),
      ]
    }
  }

  /// What is told on the way.
  public enum Event: Sendable {
    case progress(ShipSender.Progress)
    /// The connection broke; the next try comes after that many seconds.
    case interrupted(String, pause: Double)
  }

  /// Ships, again and again while connections break.
  public func run(_ tell: @escaping @Sendable (Event) -> Void) throws -> Outcome {
    let begin = Date()
    var meter = Meter(patience: ShipRetries(limit: retries))
    while true {
      do {
        let receipt = try attempt(&meter, tell)
        return Outcome(
          node: sender.node, target: target.description, bundleID: sender.bundleID,
          byteCount: sender.byteCount, keptByteCount: receipt.keptByteCount,
          receivedByteCount: receipt.receivedByteCount, sentByteCount: meter.sent,
          interruptions: meter.interruptions, replacedOlder: receipt.replacedOlder,
          seconds: Date().timeIntervalSince(begin))
      } catch let broken as BrokenConnection {
        guard broken.isPassing, meter.wasConnected, meter.patience.isLeft else {
          throw broken.fault
        }
        meter.interruptions += 1
        pause(&meter, broken.fault, tell)
      } catch let fault as PackageFault
        where fault.code == "package.busy" && meter.interruptions > 0 && meter.patience.isLeft
      {
        // The receiver of the connection that broke has not noticed yet.
        pause(&meter, fault, tell)
      }
    }
  }

  private func pause(_ meter: inout Meter, _ fault: any Fault, _ tell: (Event) -> Void) {
    let seconds = Double(meter.patience.countFailure())
    tell(.interrupted(fault.message, pause: seconds))
    Thread.sleep(forTimeInterval: seconds)
  }

  private struct Meter {
    var sent = 0
    var interruptions = 0
    var patience: ShipRetries
    var wasConnected = false
  }

  private struct BrokenConnection: Error {
    let fault: PreparationFault
    let isPassing: Bool
  }

  private func attempt(
    _ meter: inout Meter, _ tell: (Event) -> Void
  ) throws -> ShipReceipt {
    switch target {
    case .directory(let path):
      let (receipt, sent) = try sender.ship(toDirectory: path) { tell(.progress($0)) }
      meter.sent += sent
      return receipt
    case .remote(let destination, let directory):
      return try attempt(destination, directory, &meter, tell)
    }
  }

  private func attempt(
    _ destination: String, _ directory: String, _ meter: inout Meter, _ tell: (Event) -> Void
  ) throws -> ShipReceipt {
    let words = shell.arguments(destination: destination, directory: directory)
    let (wire, shell) = try SecureShell.connect(words, program: shell.program, patience: patience)
    var hasStored = false
    var hasBegun = false
    defer {
      meter.sent += wire.sentByteCount
      if hasStored { meter.patience.receiverHasStored() }
    }
    do {
      let receipt = try sender.ship(over: wire, to: destination) { progress in
        if !hasBegun { meter.patience.connectionBegins(missing: progress.missingByteCount) }
        hasBegun = true
        if progress.storedByteCount > 0 { hasStored = true }
        tell(.progress(progress))
      }
      wire.end()
      _ = shell.wait()
      return receipt
    } catch is ShipInterruption {
      let heardGreeting = wire.sentByteCount > 0
      if heardGreeting { meter.wasConnected = true }
      wire.end()
      let (fault, isPassing) = ShellDiagnosis.fault(
        of: shell.wait(), destination: destination, command: self.shell.remoteCommand,
        heardGreeting: heardGreeting)
      throw BrokenConnection(fault: fault, isPassing: isPassing)
    } catch {
      wire.end()
      _ = shell.wait()
      throw error
    }
  }
}
