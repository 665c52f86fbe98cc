import ArgumentParser

/// `1,2,3`: token ids as they are.
struct TokenIDList: ExpressibleByArgument {
  let ids: [Int32]

  init?(argument: String) {
    var ids: [Int32] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let id = Int32(part.filter { $0 != " " }), id >= 0 else { return nil }
      ids.append(id)
    }
    self.ids = ids
  }
}
