/// Everything that makes a tokenizer, read from whichever files there are.
struct TokenizerDefinition {
  var model: Tokenizer.Model
  var normalizer: Normalizer?
  var preTokenizer: PreTokenizer?
  var addedTokens = AddedTokenList()
  var postProcessor = PostProcessor.none
  var decoder = TokenDecoder.none
  var prefixesEveryStretch = true
  var beginningOfSequence: Int32?
  var endOfSequence: [Int32] = []
  var settings = TokenizerSettings()
}
