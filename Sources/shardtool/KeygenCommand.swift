import ArgumentParser
import CommandLineSupport
import ShardPackaging

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen",
    abstract: "Makes a pair of keys to sign bundles with and to trust.",
    discussion: """
      Example: shardtool keygen signing.key

      Writes the private key (Ed25519, PEM) to the file, readable to you alone, and the public \
      one beside it with .pub at its end. Sign with pack --sign signing.key; give signing.key.pub \
      to those who run the bundles, for --trust. A file that is there already is never replaced. \
      Who has the private key can sign as you: keep it off the machines that only run models.
      """)

  @Argument(help: ArgumentHelp("Where to write the private key.", valueName: "file"))
  var path = "signing.key"

  @OptionGroup var common: CommonOptions

  func run() throws {
    let pair = try KeyPair(writingTo: path)
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
}
