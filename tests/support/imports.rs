//! Which source file uses which: its imports and the paths in its code, each followed through re-exports to the
//! file that defines the item. That a file declares a module, or imports one by its name alone, is no use of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::visit::Visit;
use syn::{Attribute, Ident, Item, UseTree, Visibility, token};

/// For each file the files that it uses, and by which path.
pub(crate) type Uses = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// Reads the crates that begin with these files of a folder, tests left out. The first one is the library, which the
/// others know by this name.
pub(crate) fn uses(folder: &Path, library: &str, crates: &[&str]) -> Uses {
    let mut tree = Tree { library: library.to_owned(), ..Tree::default() };
    for (number, root) in crates.iter().enumerate() {
        let parsed = parse(&folder.join(root));
        // The modules of a crate have its number before their names.
        let module = vec![number.to_string()];
        tree.add(module, &folder.join(root), true, parsed.items);
    }
    tree.uses()
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A module by its path, the number of its crate first.
type Module = Vec<String>;

#[derive(Default)]
struct Tree {
    library: String,
    modules: BTreeMap<Module, Content>,
}

/// What is in a module.
struct Content {
    file: PathBuf,
    items: Vec<Item>,
    /// The names that it defines.
    defined: BTreeSet<String>,
    /// The names that it imports, and what they stand for.
    imported: BTreeMap<String, Vec<String>>,
    /// What it imports all of.
    globs: Vec<Vec<String>>,
}

/// What a path leads to.
enum Found {
    Module(Module),
    /// Something that this module defines.
    Item(Module),
}

/// A name can stand for a module and for an item: which of them comes first.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Module,
    Item,
}

impl Tree {
    /// Takes a module in, and the modules below it. `is_own_folder`: the files of these lie in its folder (`mod.rs`, or the
    /// first file of a crate), else in the folder of its name.
    fn add(&mut self, module: Module, file: &Path, is_own_folder: bool, items: Vec<Item>) {
        let items: Vec<Item> = items.into_iter().filter(|item| !is_test(attributes(item))).collect();
        let folder = file.parent().unwrap();
        let folder = if is_own_folder { folder.to_owned() } else { folder.join(file.file_stem().unwrap()) };
        let mut content = Content {
            file: file.to_owned(),
            items: Vec::new(),
            defined: items.iter().filter_map(name).collect(),
            imported: BTreeMap::new(),
            globs: Vec::new(),
        };
        let mut imports = Imports::default();
        for item in &items {
            imports.visit_item(item);
        }
        for (name, path) in imports.0 {
            match name {
                Some(name) => drop(content.imported.insert(name, path)),
                None => content.globs.push(path),
            }
        }
        for item in items {
            let Item::Mod(below) = item else {
                content.items.push(item);
                continue;
            };
            let name = below.ident.unraw().to_string();
            let path = [&module[..], std::slice::from_ref(&name)].concat();
            match below.content {
                // A module within the file: its own files would lie in a folder of its name.
                Some((_, items)) => self.add_within(path, file, items),
                None => {
                    let places = [(folder.join(format!("{name}.rs")), false), (folder.join(&name).join("mod.rs"), true)];
                    let place = places.into_iter().find(|(place, _)| place.is_file());
                    let (place, is_own_folder) = place.unwrap_or_else(|| panic!("{}: there is no file of mod {name}", file.display()));
                    self.add(path, &place, is_own_folder, parse(&place).items);
                }
            }
        }
        self.modules.insert(module, content);
    }

    fn add_within(&mut self, module: Module, file: &Path, items: Vec<Item>) {
        assert!(
            !items.iter().any(|item| matches!(item, Item::Mod(below) if below.content.is_none())),
            "{}: a module within a file has files of its own",
            file.display()
        );
        self.add(module, file, true, items);
    }

    fn uses(&self) -> Uses {
        let mut uses: Uses = self.modules.values().map(|content| (content.file.clone(), BTreeMap::new())).collect();
        for (module, content) in &self.modules {
            let mut paths = Paths::default();
            for item in &content.items {
                paths.visit_item(item);
            }
            for path in paths.0 {
                let file = match self.find(module, &path, Wanted::Item, &mut BTreeSet::new()) {
                    Some(Found::Item(at)) => &self.modules[&at].file,
                    Some(Found::Module(_)) | None => continue,
                };
                if *file != content.file {
                    uses.get_mut(&content.file).unwrap().entry(file.clone()).or_insert_with(|| path.join("::"));
                }
            }
        }
        uses
    }

    /// What a path in a module leads to; `None` where that is outside of these crates. `seen` ends what leads in a circle.
    fn find(&self, module: &Module, path: &[String], wanted: Wanted, seen: &mut BTreeSet<(Module, String)>) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let wants = |rest: &[String]| if rest.is_empty() { wanted } else { Wanted::Module };
        let mut found = match first.as_str() {
            "crate" => Found::Module(module[..1].to_vec()),
            "self" => Found::Module(module.clone()),
            "super" => Found::Module(module[..module.len() - 1].to_vec()),
            name => match self.name(module, name, wants(rest), seen) {
                Some(found) => found,
                None if name == self.library => Found::Module(vec!["0".to_owned()]),
                None => return None,
            },
        };
        while let (Found::Module(at), Some((name, after))) = (&found, rest.split_first()) {
            found = match name.as_str() {
                "super" => Found::Module(at[..at.len() - 1].to_vec()),
                "self" => Found::Module(at.clone()),
                name => match self.name(at, name, wants(after), seen) {
                    Some(found) => found,
                    // It is imported from outside of these crates.
                    None if self.modules[at].imported.contains_key(name) => return None,
                    // What a macro defines is not seen, and is that module's all the same.
                    None => Found::Item(at.clone()),
                },
            };
            rest = after;
        }
        Some(found)
    }

    /// What a name stands for in a module.
    fn name(&self, module: &Module, name: &str, wanted: Wanted, seen: &mut BTreeSet<(Module, String)>) -> Option<Found> {
        let below = [&module[..], &[name.to_owned()]].concat();
        let is_module = self.modules.contains_key(&below);
        if is_module && wanted == Wanted::Module {
            return Some(Found::Module(below));
        }
        let content = &self.modules[module];
        if content.defined.contains(name) {
            return Some(Found::Item(module.clone()));
        }
        let is_new = seen.insert((module.clone(), name.to_owned()));
        let imported = content.imported.get(name).filter(|_| is_new).and_then(|path| self.find(module, path, wanted, seen));
        let of_glob = |path: &Vec<String>, seen: &mut BTreeSet<(Module, String)>| match self.find(module, path, Wanted::Module, seen)? {
            Found::Module(at) => self.name(&at, name, wanted, seen),
            // The variants of an enum.
            Found::Item(_) => None,
        };
        let found = imported.or_else(|| content.globs.iter().filter(|_| is_new).find_map(|path| of_glob(path, seen)));
        found.or_else(|| is_module.then_some(Found::Module(below)))
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| attribute.parse_args::<Ident>().is_ok_and(|word| word == "test");
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && is_test(attribute))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
fn name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.unraw().to_string(),
        Item::Enum(item) => item.ident.unraw().to_string(),
        Item::Fn(item) => item.sig.ident.unraw().to_string(),
        Item::Macro(item) => item.ident.as_ref()?.unraw().to_string(),
        Item::Static(item) => item.ident.unraw().to_string(),
        Item::Struct(item) => item.ident.unraw().to_string(),
        Item::Trait(item) => item.ident.unraw().to_string(),
        Item::Type(item) => item.ident.unraw().to_string(),
        Item::Union(item) => item.ident.unraw().to_string(),
        _ => return None,
    })
}

/// What a `use` imports: the names, `None` for `*`, and their paths.
fn flattened(tree: &UseTree, before: &[String], into: &mut Vec<(Option<String>, Vec<String>)>) {
    let with = |name: &Ident| [before, &[name.unraw().to_string()]].concat();
    let mut add = |name: &Ident, path: Vec<String>| {
        // `a::{self}` is a.
        let path = if path.len() > 1 && path.ends_with(&["self".to_owned()]) { path[..path.len() - 1].to_vec() } else { path };
        let name = if name == "self" { path[path.len() - 1].clone() } else { name.unraw().to_string() };
        into.push((Some(name), path));
    };
    match tree {
        UseTree::Path(tree) => flattened(&tree.tree, &with(&tree.ident), into),
        UseTree::Name(tree) => add(&tree.ident, with(&tree.ident)),
        UseTree::Rename(tree) => add(&tree.rename, with(&tree.ident)),
        UseTree::Glob(_) => into.push((None, before.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flattened(tree, before, into)),
    }
}

/// The imports of a module, those within its functions included; of a module within it none.
#[derive(Default)]
struct Imports(Vec<(Option<String>, Vec<String>)>);

impl Visit<'_> for Imports {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        flattened(&item.tree, &[], &mut self.0);
    }

    fn visit_item_mod(&mut self, _: &syn::ItemMod) {}
}

/// The paths in a module: those of its imports, of its code, and of what it hands to macros.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Visit<'_> for Paths {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let mut imports = Vec::new();
        flattened(&item.tree, &[], &mut imports);
        self.0.extend(imports.into_iter().map(|(_, path)| path));
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &syn::Macro) {
        self.visit_path(&called.path);
        called.parse_body_with(|input: ParseStream| self.tokens(input)).unwrap();
    }

    fn visit_attribute(&mut self, attribute: &Attribute) {
        if matches!(attribute.meta, syn::Meta::List(_)) {
            attribute.parse_args_with(|input: ParseStream| self.tokens(input)).unwrap();
        }
        syn::visit::visit_attribute(self, attribute);
    }

    /// `pub(in a::b)` says who may use it.
    fn visit_visibility(&mut self, _: &Visibility) {}
}

impl Paths {
    /// The paths among the tokens of a macro: names with `::` between them.
    fn tokens(&mut self, input: ParseStream) -> syn::Result<()> {
        while !input.is_empty() {
            if input.peek(Ident::peek_any) {
                let mut path = vec![input.call(Ident::parse_any)?.unraw().to_string()];
                while input.peek(token::PathSep) && input.peek3(Ident::peek_any) {
                    input.parse::<token::PathSep>()?;
                    path.push(input.call(Ident::parse_any)?.unraw().to_string());
                }
                self.0.push(path);
                continue;
            }
            let inside;
            if input.peek(token::Paren) {
                syn::parenthesized!(inside in input);
            } else if input.peek(token::Brace) {
                syn::braced!(inside in input);
            } else if input.peek(token::Bracket) {
                syn::bracketed!(inside in input);
            } else {
                input.step(|cursor| cursor.token_tree().map(|(_, rest)| ((), rest)).ok_or_else(|| cursor.error("a token")))?;
                continue;
            }
            self.tokens(&inside)?;
        }
        Ok(())
    }
}

/// The groups in which each one uses each other one, at last: for each a shortest circle, and all that are in it.
pub(crate) fn circles<T: Ord + Clone>(graph: &BTreeMap<T, BTreeSet<T>>) -> Vec<(Vec<T>, BTreeSet<T>)> {
    let nothing = BTreeSet::new();
    let used = |node: &T| graph.get(node).unwrap_or(&nothing).iter().cloned().collect::<Vec<T>>();
    // All that a node reaches, each with the one before it on a shortest way.
    let reached = |from: &T| {
        let mut before: BTreeMap<T, T> = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([from.clone()]);
        while let Some(node) = open.pop_front() {
            for next in used(&node) {
                if !before.contains_key(&next) {
                    before.insert(next.clone(), node.clone());
                    open.push_back(next);
                }
            }
        }
        before
    };
    let all: BTreeMap<T, BTreeMap<T, T>> = graph.keys().map(|node| (node.clone(), reached(node))).collect();
    let mut circles = Vec::new();
    let mut done: BTreeSet<T> = BTreeSet::new();
    for (node, reached) in &all {
        if done.contains(node) || !reached.contains_key(node) {
            continue;
        }
        let group: BTreeSet<T> =
            reached.keys().filter(|other| all.get(*other).is_some_and(|back| back.contains_key(node))).cloned().collect();
        let circle = |node: &T| {
            let mut circle = vec![node.clone()];
            loop {
                let before = all[node][&circle[circle.len() - 1]].clone();
                circle.push(before.clone());
                if before == *node {
                    circle.reverse();
                    return circle;
                }
            }
        };
        let shortest = group.iter().map(circle).min_by_key(Vec::len).unwrap();
        done.extend(group.iter().cloned());
        circles.push((shortest, group));
    }
    circles
}
