/// A way to carry links between nodes: one file in this folder each.
public protocol Transport: Sendable {
  /// What `--transport` and messages call it.
  static var name: String { get }

  /// Accepts links at an address.
  ///
  /// - Parameter handler: called for each new link before anything can come on it; nil turns the
  ///   link away.
  /// Throws: `transport.listen` where the address cannot be had.
  func listen(
    at address: HostPort, handler: @escaping @Sendable (Link) -> (any LinkHandler)?
  ) throws(TransportFault) -> any Listener

  /// Makes a link to a listening address; waits at most `timeout`.
  ///
  /// Throws: `transport.connect` with the system's reason.
  func connect(
    to address: HostPort, timeout: Duration, handler: any LinkHandler
  ) throws(TransportFault) -> Link

  /// Closes everything and gives its threads back.
  func shutdown()
}

/// An open address.
public protocol Listener: Sendable {
  /// The address with the port that the system chose.
  var address: HostPort { get }
  /// Accepts no more links; those that exist stay.
  func close()
}

extension TransportFault {
  static func cannotListen(at address: HostPort, _ reason: String) -> TransportFault {
    TransportFault(
      "listen", "cannot listen at \(address): \(reason); choose another address with --listen",
      context: ["address": "\(address)"])
  }

  static func cannotConnect(to address: HostPort, _ reason: String) -> TransportFault {
    TransportFault(
      "connect", "cannot connect to \(address): \(reason)", context: ["address": "\(address)"])
  }
}
