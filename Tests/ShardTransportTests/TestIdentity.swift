import ShardPackaging
import ShardTransport
import TestSupport

/// Cluster identities for tests.
enum TestIdentity {
  static let first = make()
  static let second = make()

  private static func make() -> TLSIdentity? {
    guard let place = try? TemporaryDirectory(),
      let identity = try? ClusterIdentity.create(at: place.appending("cluster.pem"))
    else { return nil }
    return try? TLSIdentity(
      certificate: identity.certificate, privateKey: identity.privateKey)
  }
}
