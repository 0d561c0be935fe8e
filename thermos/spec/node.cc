#include "thermos/spec/node.h"

namespace dewar {

const Node* Node::find(std::string_view name) const {
  for (const Node& item : items) {
    if (item.key == name && kind == Kind::kMap) return item.kind == Kind::kNull ? nullptr : &item;
  }
  return nullptr;
}

}  // namespace dewar
