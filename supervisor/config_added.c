/* Children that are added while the node runs: instances of a dynamic supervisor's template, and sections below any other. They live in the configuration like those that
 * were written in its file, so that everything that looks at a node's definition finds them too. */
#include "supervisor/config_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/address.h"

#define SECTION_MAX (16u * 1024)
#define ARGS_MAX 256u

static struct config_node *find_under(struct config_node *n, const char *name)
{
	struct config_node *found = strcmp(n->name, name) == 0 ? n : NULL;
	for (struct config_node *k = n->first; k && !found; k = k->next)
		found = find_under(k, name); /* as deep as the grammar allows */
	return found;
}

struct config_node *config_find(const struct config *c, const char *name)
{
	return find_under(c->root, name);
}

static char **strings_join(char *const *a, char *const *b, size_t n_b)
{
	size_t n_a = 0, n = 0;
	while (a && a[n_a])
		n_a++;
	char **all = calloc(n_a + n_b + 1, sizeof *all);
	for (; all && a && n < n_a && (all[n] = strdup(a[n])); n++) {
	}
	for (size_t i = 0; all && b && n == n_a + i && i < n_b && (all[n] = strdup(b[i])); n++, i++) {
	}
	if (all && n < n_a + n_b) {
		strings_free(all);
		return NULL;
	}
	return all;
}

char **strings_copy(char *const *list)
{
	return list ? strings_join(list, NULL, 0) : NULL;
}

static char *copy(const char *s, bool *failed)
{
	char *c = s ? strdup(s) : NULL;
	*failed |= s && !c;
	return c;
}

/* From its template's process, with further words. Not appended to anything yet. */
static struct config_node *node_copy(const struct config_node *from, const char *name, char *const *args, size_t n_args)
{
	struct config_node *n = calloc(1, sizeof *n);
	bool failed = false;
	if (!n)
		return NULL;
	n->kind = CONFIG_PROCESS;
	n->spec = from->spec;
	n->sup = from->sup;
	n->otp = from->otp;
	n->line = from->line;
	n->launch = from->launch;
	n->launch.argv = strings_join(from->launch.argv, args, n_args);
	n->launch.env = from->launch.env ? strings_join(from->launch.env, NULL, 0) : NULL;
	n->launch.directory = copy(from->launch.directory, &failed);
	n->launch.user = copy(from->launch.user, &failed);
	n->name = copy(name, &failed);
	n->title = copy(from->title, &failed);
	n->links = strings_copy(from->links);
	failed |= !n->launch.argv || (from->launch.env && !n->launch.env);
	if (failed) {
		node_free(n);
		return NULL;
	}
	return n;
}

static bool name_is_usable(const struct config_node *template, const char *name)
{
	size_t len = strlen(name);
	bool is_actor = strcmp(template->title, "child") != 0;
	if (len == 0 || len > CHILD_NAME_MAX)
		return false;
	for (const char *s = name; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return false;
	return !is_actor || address_valid(name);
}

int config_add_instance(struct config_node *above, const char *name, char *const *args, size_t n, struct config_node **ret, struct error *e)
{
	if (n > ARGS_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "%zu arguments are more than %u", n, ARGS_MAX);
	if (!name_is_usable(above->template_, name)) {
		error_set(e, ERROR_BAD_REQUEST, "\"%.60s\" is no name for a child of %s", name, above->name);
		error_cure(e, "%s", strcmp(above->template_->title, "child") == 0 ? "use 1 to 191 bytes, none of them a control character" : "write an address, type:id");
		return e->code;
	}
	struct config_node *k = node_copy(above->template_, name, args, n);
	if (!k)
		return -ENOMEM;
	k->args = strings_join(NULL, args, n);
	if (!k->args) {
		node_free(k);
		return -ENOMEM;
	}
	k->spec.added = true;
	k->spec.fingerprint = launch_fingerprint(k);
	node_append(above, k);
	*ret = k;
	return 0;
}

/* The whole message of the first complaint. */
static int complaint(struct error *e, char *text)
{
	char *cure = text ? strstr(text, "\n  ") : NULL;
	if (cure)
		*cure = 0;
	error_set(e, ERROR_CONFIG, "%s", text && *text ? text : "the section cannot be read");
	if (cure) {
		cure[3 + strcspn(cure + 3, "\n")] = 0;
		error_cure(e, "%s", cure + 3);
	}
	return ERROR_CONFIG;
}

int config_add_section(struct config *c, struct config_node *above, const char *section, struct config_node **ret, struct error *e)
{
	_cleanup_(freep) char *wrapped = NULL;
	char *said = NULL;
	size_t len = 0;
	if (strlen(section) > SECTION_MAX)
		return error_set(e, ERROR_TOO_LARGE, "a section has at most %u bytes", SECTION_MAX);
	if (asprintf(&wrapped, "supervisor \"-\" { %s\n}\n", section) < 0)
		return -ENOMEM;
	FILE *errors = open_memstream(&said, &len);
	if (!errors)
		return -ENOMEM;
	struct text t = { .errors = errors, .name = "section" };
	struct config_node *last = above->last;
	bool had_users = c->has_users;
	cfg_t *sections[2];
	if (text_parse(&t, wrapped) == 0 && cfg_size(t.top, "supervisor") == 1) {
		cfg_t *in = cfg_getnsec(t.top, "supervisor", 0);
		unsigned n = text_children(&t, in, sections, 2);
		if (n != 1 || cfg_size(t.top, "queue") || (strcmp(sections[0]->name, "child") != 0 && strcmp(sections[0]->name, "actor") != 0))
			text_complain(&t, in, NULL, "config-section", "write child \"name\" { ... }, and nothing else", "this is not one child or actor section (invalid_child_spec)");
		else
			read_section(c, &t, sections[0], above);
	}
	bool good = t.n_errors == 0 && above->last != last;
	text_fini(&t);
	fclose(errors);
	int r = 0;
	if (good && c->has_users && !had_users) {
		/* Its privileges were given up at the start. */
		error_set(e, ERROR_STATE, "this node was started without users of its own for children");
		error_cure(e, "take the user out, or write one into the configuration and start the node again");
		r = e->code;
	} else if (good) {
		*ret = above->last;
		(*ret)->spec.added = true;
		(*ret)->spec.fingerprint = launch_fingerprint(*ret);
		(*ret)->section = strdup(section);
		if (!(*ret)->section)
			r = -ENOMEM;
	} else {
		r = complaint(e, said);
	}
	c->has_users = had_users;
	if (r && above->last != last)
		config_remove(above->last);
	free(said);
	return r;
}

void config_forget_arguments(struct config_node *n)
{
	strings_free(n->args);
	n->args = NULL;
	for (char **a = n->launch.argv; a && *a && a[1]; a[1] = NULL)
		for (char **rest = a + 1; *rest; rest++)
			free(*rest);
	strings_free(n->launch.env);
	n->launch.env = NULL;
	free(n->section);
	n->section = NULL;
}

void config_remove(struct config_node *n)
{
	struct config_node *above = n->above, *before = NULL;
	for (struct config_node **at = &above->first; *at; before = *at, at = &(*at)->next)
		if (*at == n) {
			*at = n->next;
			if (above->last == n)
				above->last = before;
			break;
		}
	n->next = NULL;
	node_free(n);
}

static int carry(struct config *is, const struct config_node *k, struct error *e)
{
	struct config_node *above = config_find(is, k->above->name), *made;
	size_t n = 0;
	if (!above || above->kind == CONFIG_PROCESS || (above->template_ != NULL) != (k->args != NULL))
		return error_set(e, ERROR_CONFIG, "the supervisor %s is no longer there, or no longer of its kind", k->above->name);
	if (config_find(is, k->name))
		return error_set(e, ERROR_EXISTS, "the configuration has a child of this name now");
	while (k->args && k->args[n])
		n++;
	int r = k->args ? config_add_instance(above, k->name, k->args, n, &made, e) : config_add_section(is, above, k->section, &made, e);
	if (!r) {
		made->seq = k->seq;
		made->spec.hold = k->spec.hold;
	}
	return r;
}

static void carry_under(const struct config_node *n, struct config *is, void (*lost)(const struct config_node *n, const struct error *e))
{
	for (const struct config_node *k = n->first; k; k = k->next) {
		struct error e = { 0 };
		if (k->spec.added && k->spec.restart != RESTART_TEMPORARY && carry(is, k, &e) != 0)
			lost(k, &e);
		carry_under(k, is, lost);
	}
}

void config_carry_over(const struct config *was, struct config *is, void (*lost)(const struct config_node *n, const struct error *e))
{
	carry_under(was->root, is, lost);
}
