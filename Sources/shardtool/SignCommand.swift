import ArgumentParser
import CommandLineSupport
import ShardPackaging
import TensorKernels

struct SignCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign",
    abstract: "Signs a bundle that is there already.",
    discussion: """
      Example: shardtool sign shards/bundles --key signing.key

      Checks every byte first, then writes signature.json beside manifest.json and into the \
      directories of the nodes. Other keys' signatures stay.
      """)

  @Argument(help: "A bundle, or a node's directory.", completion: .directory)
  var bundle = "shards/bundles"

  @Option(
    help: ArgumentHelp(
      "The private key, as shardtool keygen makes them.", valueName: "private-key"),
    completion: .file())
  var key: String

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let signing = try SigningKey(path: key)
    if KeyPair.isOpenToOthers(key) {
      common.note("warning: others can read \(key), and sign with it: chmod 600 \(key)")
    }
    let bar = common.makeProgressBar()
    defer { bar.finish() }
    let pool = WorkerPool(threads: threads.threads ?? WorkerPool.defaultThreadCount)
    let (package, directories) = try BundleSigning.sign(
      bundle, with: signing, pool: pool, progress: bar.handler)
    bar.finish()
    if common.json {
      Console.write([
        "schema": "shardtool.sign/1", "directory": .string(bundle),
        "bundle_id": .string(package.bundleID), "name": .string(package.manifest.name),
        "sequence": .init(package.manifest.sequence),
        "key_id": .string(signing.publicKey.id.description),
        "signed": .array(directories.map { .string($0) }),
      ])
    } else {
      Console.write(
        "\(bundle), number \(package.manifest.sequence) of \(package.manifest.name), is signed by "
          + "\(signing.publicKey.id)\n")
    }
  }
}
