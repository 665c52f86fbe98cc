/// What an expression of the template language is made of.
indirect enum TemplateExpression: Sendable {
  case literal(TemplateValue)
  case name(String)
  case list([TemplateExpression])
  case dictionary([(key: TemplateExpression, value: TemplateExpression)])
  case attribute(TemplateExpression, String)
  case item(TemplateExpression, TemplateExpression)
  case slice(
    TemplateExpression, start: TemplateExpression?, end: TemplateExpression?,
    step: TemplateExpression?)
  case negated(TemplateExpression)
  case not(TemplateExpression)
  case both(TemplateExpression, TemplateExpression)
  case either(TemplateExpression, TemplateExpression)
  case arithmetic(TemplateExpression, String, TemplateExpression)
  case joined([TemplateExpression])
  case comparison(TemplateExpression, [(operation: String, right: TemplateExpression)])
  case conditional(
    TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
  case filter(TemplateExpression, String, TemplateArguments)
  case test(TemplateExpression, String, TemplateArguments)
  case call(TemplateExpression, TemplateArguments)
}

struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
}

struct TemplateNode: Sendable {
  let line: Int
  let statement: TemplateStatement
}

indirect enum TemplateStatement: Sendable {
  case text(String)
  case output(TemplateExpression)
  case branches([(condition: TemplateExpression, body: [TemplateNode])], otherwise: [TemplateNode])
  case loop(TemplateForStatement)
  case set(String, TemplateExpression)
  case setAttribute(String, String, TemplateExpression)
  case capture(String, [TemplateNode])
  /// A body with names of its own.
  case scoped([TemplateNode])
  case macro(String, Int)
  case breakLoop
  case continueLoop
}

struct TemplateForStatement: Sendable {
  let targets: [String]
  let items: TemplateExpression
  let condition: TemplateExpression?
  let body: [TemplateNode]
  let otherwise: [TemplateNode]
}

struct TemplateMacro: Sendable {
  let name: String
  let parameters: [(name: String, value: TemplateExpression?)]
  let body: [TemplateNode]
}
