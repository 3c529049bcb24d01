// Trie: filters to values, so that one walk finds every subscription that takes a topic. Set-up
// path: it allocates. One thread.
//
//     root ── grad ── # : {s1}
//          │       └─ * ── w : {s2}        collect("grad.layer3.w") gives s1, s2 and s3
//          └─ # ── w : {s3}
//
// The walk keeps the set of nodes reached by the words so far, each node once, so that many '#'
// cost no more than the nodes there are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/topic/name.h"
#include "dataplane/topic/tenant.h"

namespace penstock {

template <class Value>
class Trie {
 public:
  // `filter` is valid. False: that value is there under it already.
  bool insert(std::string_view filter, const Value& value) {
    Node* node = &root_;
    for (std::string_view word; next_word(filter, word);) {
      auto it = node->children.find(word);
      if (it == node->children.end()) {
        it = node->children.emplace(std::string(word), std::make_unique<Node>()).first;
        it->second->hash = word == "#";
      }
      node = it->second.get();
    }
    if (std::ranges::find(node->values, value) != node->values.end()) return false;
    node->values.push_back(value);
    size_++;
    return true;
  }

  // False: it isn't there. Leaves no empty nodes behind.
  bool remove(std::string_view filter, const Value& value) {
    std::vector<std::pair<Node*, std::string_view>> path;  // each node and the word down from it
    Node* node = &root_;
    for (std::string_view word; next_word(filter, word);) {
      const auto it = node->children.find(word);
      if (it == node->children.end()) return false;
      path.emplace_back(node, word);
      node = it->second.get();
    }
    const auto at = std::ranges::find(node->values, value);
    if (at == node->values.end()) return false;
    node->values.erase(at);
    size_--;
    for (; node != &root_ && node->values.empty() && node->children.empty(); path.pop_back()) {
      node = path.back().first;
      node->children.erase(node->children.find(path.back().second));
    }
    return true;
  }

  // Calls found(const Value&) for each value of each filter that takes `topic`, once for each
  // filter that it stands under. `found` does not change the trie.
  template <class Found>
  void collect(std::string_view topic, Found&& found) {
    here_.clear();
    walk_++;
    reach(root_, here_);
    for (std::string_view word; next_word(topic, word);) {
      next_.clear();
      walk_++;
      for (Node* node : here_)
        step(*node, word);
      std::swap(here_, next_);
    }
    for (const Node* node : here_) {
      for (const Value& v : node->values)
        found(v);
    }
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
    std::vector<Value> values;
    uint64_t reached = 0;  // the step of the walk that was here last
    bool hash = false;     // stands for '#': takes any further word too
  };

  // What the nodes of `here_` lead to by `word`. That of a tenant stands for itself only.
  void step(Node& node, std::string_view word) {
    const bool wild = !tenant_word(word);
    if (wild && node.hash) reach(node, next_);
    if (const auto it = node.children.find(word); it != node.children.end()) {
      reach(*it->second, next_);
    }
    if (const auto it = node.children.find(std::string_view("*"));
        wild && it != node.children.end()) {
      reach(*it->second, next_);
    }
  }

  // Adds the node, and those that '#' leads to without taking a word.
  void reach(Node& start, std::vector<Node*>& set) {
    for (Node* node = &start; node->reached != walk_;) {
      node->reached = walk_;
      set.push_back(node);
      const auto it = node->children.find(std::string_view("#"));
      if (it == node->children.end()) return;
      node = it->second.get();
    }
  }

  Node root_;
  size_t size_ = 0;
  uint64_t walk_ = 0;
  std::vector<Node*> here_, next_;
};

}  // namespace penstock
