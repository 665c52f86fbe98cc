import Quantization
import StrictJSON
import TensorCore
import TestSupport
import Testing

@Suite struct RecipeTests {
  private func scheme(
    _ recipe: Recipe, _ role: TensorRole, shape: [Int] = [8, 8], isTied: Bool = false,
    stored: DataType = .bf16
  ) throws -> String {
    try recipe.scheme(for: role, shape: shape, isTied: isTied, stored: stored).name
  }

  @Test func fourBitsKeepHeadAndEmbeddingAtEight() throws {
    #expect(try scheme(.bits4, .attentionQuery) == "q4")
    #expect(try scheme(.bits4, .mlpDown) == "q4")
    #expect(try scheme(.bits4, .head) == "q8")
    #expect(try scheme(.bits4, .tokenEmbedding) == "q8")
    #expect(try scheme(.bits4, .tokenEmbedding, isTied: true) == "q8")
  }

  @Test func smallTensorsKeepTheirType() throws {
    for role in TensorRole.allCases where !role.isQuantizable {
      #expect(try scheme(.bits4, role, shape: [8]) == "bf16")
      #expect(try scheme(.bits8, role, stored: .f32) == "f32")
    }
    #expect(try scheme(.bits4, .mlpUp, shape: [64]) == "bf16")
  }

  @Test func sixteenBitsPassThrough() throws {
    for type in [DataType.f16, .bf16, .f32] {
      let name = type.rawValue.lowercased()
      #expect(try scheme(.bits16, .mlpUp, stored: type) == name)
    }
    #expect(throws: QuantizationFault.self) { try scheme(.bits16, .mlpUp, stored: .i8) }
  }

  @Test func tiedEmbeddingsFollowTheHead() throws {
    let recipe = try Recipe(name: "r", standard: "q4", roles: [.head: "q8"])
    #expect(try scheme(recipe, .tokenEmbedding) == "q4")
    #expect(try scheme(recipe, .tokenEmbedding, isTied: true) == "q8")
    let own = try Recipe(name: "r", standard: "q4", roles: [.head: "q8"], tiedEmbedding: "f16")
    #expect(try scheme(own, .tokenEmbedding, isTied: true) == "f16")
  }

  @Test func widthsNameTheBuiltInRecipes() throws {
    #expect(Recipe.bits(4) == .bits4)
    #expect(Recipe.bits(8) == .bits8)
    #expect(Recipe.bits(16) == .bits16)
    #expect(Recipe.bits(5) == nil)
    #expect(try scheme(try .uniform("q4"), .head) == "q4")
  }

  @Test func recipeFilesAreTheBuiltInRecipes() throws {
    let directory = "\(Places.packageRoot)/manifests/recipes"
    #expect(try Recipe.read(from: "\(directory)/q4.json") == .bits4)
    #expect(try Recipe.read(from: "\(directory)/q8.json") == .bits8)
    #expect(try Recipe.read(from: "\(directory)/keep.json") == .bits16)
    for name in try Directory.names(in: directory) {
      let recipe = try Recipe.read(from: "\(directory)/\(name)")
      #expect("\(recipe.name).json" == name)
      #expect(try Recipe(json: recipe.json, source: "copy") == recipe)
    }
  }

  @Test(arguments: [
    (#"[]"#, "JSON object"),
    (#"{"name":"a","default":"q4"}"#, "schema"),
    (#"{"schema":"shardtool.recipe/1","default":"q4"}"#, "name"),
    (#"{"schema":"shardtool.recipe/1","name":"a"}"#, "default"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q3"}"#, "q3"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","colour":1}"#, "colour"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","roles":[]}"#, "roles"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","roles":{"tail":"q4"}}"#, "tail"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","roles":{"norm":"q4"}}"#, "norm"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","roles":{"head":8}}"#, "head"),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","roles":{"head":"x"}}"#, "\"x\""),
    (#"{"schema":"shardtool.recipe/1","name":"a","default":"q4","tiedEmbedding":1}"#, "tied"),
  ])
  func faultyRecipesAreRefused(text: String, named: String) throws {
    let json = try JSONParsing().parse(text)
    let fault = #expect(throws: QuantizationFault.self) {
      try Recipe(json: json, source: "here.json")
    }
    #expect(fault?.message.contains(named) == true, "\(fault?.message ?? "")")
    #expect(fault?.message.contains("here.json") == true)
  }

  @Test func unreadableRecipesAreRefused() throws {
    let directory = try TemporaryDirectory()
    try Directory.writeAtomically(Array("{".utf8), to: directory.appending("r.json"))
    #expect(throws: QuantizationFault.self) {
      try Recipe.read(from: directory.appending("r.json"))
    }
    #expect(throws: FileFault.self) { try Recipe.read(from: directory.appending("none.json")) }
  }
}
