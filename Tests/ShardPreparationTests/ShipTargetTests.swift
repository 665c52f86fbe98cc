import ShardPreparation
import TensorCore
import Testing

@Suite struct ShipTargetTests {
  @Test(arguments: [
    ("stick", ShipTarget.directory("stick")), ("/media/stick/a:b", .directory("/media/stick/a:b")),
    ("./a:b", .directory("./a:b")),
    ("laptop:models", .remote(destination: "laptop", directory: "models")),
    ("anna@laptop:models/x", .remote(destination: "anna@laptop", directory: "models/x")),
    ("anna@laptop:/srv/x", .remote(destination: "anna@laptop", directory: "/srv/x")),
    ("laptop:~/x y", .remote(destination: "laptop", directory: "x y")),
    ("laptop:a:b", .remote(destination: "laptop", directory: "a:b")),
    ("anna@[fe80::1%eth0]:x", .remote(destination: "anna@fe80::1%eth0", directory: "x")),
  ])
  func targetsAreReadAsScpReadsThem(text: String, target: ShipTarget) throws {
    #expect(try ShipTarget(text) == target)
  }

  @Test(arguments: [
    "", ":x", "laptop:", "laptop:~", "laptop:~anna/x", "-oProxyCommand=x:y", "a b:c", "anna@:x",
    "laptop:a\nb",
  ])
  func whatLeadsNowhereIsRefused(text: String) {
    #expect {
      _ = try ShipTarget(text)
    } throws: { error in
      (error as? any Fault)?.exitStatus == .usage
    }
  }
}
