import ArgumentParser
import CommandLineSupport
import ShardPackaging
import TensorCore

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen",
    abstract: "Makes a pair of keys to sign bundles with, or the identity of a cluster.",
    discussion: """
      Example: shardtool keygen signing.key

      Writes the private key (Ed25519, PEM) to the file, readable to you alone, and the public \
      one beside it with .pub at its end. Sign with pack --sign signing.key; give signing.key.pub \
      to those who run the bundles, for --trust. A file that is there already is never replaced. \
      Who has the private key can sign as you: keep it off the machines that only run models.

      Example: shardtool keygen --cluster

      Makes a cluster identity: one file that every machine of a cluster holds, by which nodes \
      encrypt what they say and let nobody else in. Copy it to each of them, by hand or with scp, \
      to the same place: ~/.config/shardtool/cluster.pem, where it is looked for, or any other, \
      for shardrun --key FILE. Who has it can read and command the cluster.
      """)

  @Argument(
    help: ArgumentHelp(
      "Where to write the private key (default: signing.key) or the identity (default: "
        + "~/.config/shardtool/cluster.pem).", valueName: "file"))
  var path: String?

  @Flag(help: "Make a cluster identity, for shardrun --key, instead of a signing key.")
  var cluster = false

  @OptionGroup var common: CommonOptions

  func run() throws {
    if cluster { return try makeIdentity() }
    let pair = try KeyPair(writingTo: path ?? "signing.key")
    if common.json {
      Console.write([
        "schema": "shardtool.keygen/1", "private_key": .string(pair.privatePath),
        "public_key": .string(pair.publicPath), "key_id": .string(pair.id.description),
      ])
    } else {
      Console.write(
        "private key  \(pair.privatePath)\npublic key   \(pair.publicPath)\nkey id       "
          + "\(pair.id)\n")
      common.note("keep \(pair.privatePath) to yourself; give \(pair.publicPath) to the nodes")
    }
  }

  private func makeIdentity() throws {
    var target = path
    if target == nil, let usual = ClusterIdentity.usualPath() {
      try Directory.create(Directory.parent(of: usual))
      target = usual
    }
    let path = target ?? "cluster.pem"
    let identity = try ClusterIdentity.create(at: path)
    if common.json {
      Console.write([
        "schema": "shardtool.keygen-cluster/1", "cluster_identity": .string(path),
        "key_id": .string(identity.id.description),
      ])
    } else {
      Console.write("cluster identity  \(path)\nkey id            \(identity.id)\n")
      common.note("copy it to every machine of the cluster, and to nobody else")
    }
  }
}
