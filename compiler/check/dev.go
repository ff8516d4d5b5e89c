package check

import (
	"path"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// dev checks what is different while developing.
func (c *checker) dev(ctr *app.Container, at place) {
	d := ctr.Dev
	c.sync(ctr, at)
	for i, pattern := range d.Ignore {
		if err := badPattern(pattern); err != "" {
			at.field("ignore").item(i).refuse("%q is no pattern: %s", pattern, err).hint("patterns are as in a .dockerignore file")
		}
	}
	for i, name := range d.Watch {
		at.field("watch").item(i).inModule(name)
	}
	c.onChange(ctr, at)
	c.argument(at.pos, at.path+".command", d.Command...)
	c.argument(at.pos, at.path+".exec", d.Exec...)
}

// sync wants each directory in a place of its own, where nothing is mounted.
func (c *checker) sync(ctr *app.Container, at place) {
	targets := map[string]string{}
	for _, from := range sortedKeys(ctr.Dev.Sync) {
		sync := at.field("sync").key(from)
		sync.inModule(from)
		to := ctr.Dev.Sync[from]
		sync.absolute(to)
		clean := path.Clean(to)
		if other, ok := targets[clean]; ok {
			sync.refuse("%q already gets what is in %q", to, other).hint("copy each to a place of its own")
		}
		targets[clean] = from
		switch mounted := mountAt(ctr, clean); {
		case clean == "/" || strings.Contains(to, ":"):
			sync.refuse("%q cannot be a volume, as which the files get there", to).hint("copy to a directory below it, without \":\" in its name")
		case mounted != nil && ctr.Dev.OnChange != "rebuild":
			sync.refuse("the volume %q is mounted at %s", mounted.Name, to).hint("copy to another place, or leave out the mount")
		}
	}
}

func mountAt(ctr *app.Container, clean string) *app.VolumeMount {
	for i := range ctr.VolumeMounts {
		if path.Clean(ctr.VolumeMounts[i].MountPath) == clean {
			return &ctr.VolumeMounts[i]
		}
	}
	return nil
}

// onChange wants what an action needs, and nothing that no action has a use for.
func (c *checker) onChange(ctr *app.Container, at place) {
	d := ctr.Dev
	action := at.field("onChange")
	switch {
	case d.OnChange == "rebuild" && ctr.Build == nil:
		action.refuse("nothing says how to build the image").hint("add build: context: DIRECTORY to the container")
	case d.OnChange == "exec" && len(d.Exec) == 0:
		action.refuse("there is no command to run").hint("add exec: [\"PROGRAM\", \"ARGUMENT\"]")
	case d.OnChange == "signal" && d.Signal == "":
		action.refuse("there is no signal to send").hint("add signal: \"SIGHUP\"")
	case d.OnChange != "" && d.OnChange != "none" && d.OnChange != "rebuild" && len(d.Sync)+len(d.Watch) == 0:
		action.refuse("there is nothing whose change could be followed").hint("name directories in sync or watch")
	}
	if len(d.Exec) > 0 && d.OnChange != "exec" {
		at.field("exec").refuse("nothing runs the command").hint("add onChange: \"exec\"; the command in place of the container's own is command")
	}
	if d.Signal != "" && d.OnChange != "signal" {
		at.field("signal").refuse("nothing sends the signal").hint("add onChange: \"signal\"")
	}
	if len(d.Watch) > 0 && (d.OnChange == "" || d.OnChange == "none") {
		at.field("watch").refuse("nothing follows a change").hint("add onChange: \"restart\", or copy the directory with sync")
	}
}

// badPattern is why a pattern is none, or "".
func badPattern(pattern string) string {
	bare := strings.TrimPrefix(pattern, "!")
	if strings.ContainsAny(pattern, "\x00\n\r") {
		return "it is more than a line"
	}
	if strings.TrimSpace(bare) == "" {
		return "it is empty"
	}
	if _, err := path.Match(bare, ""); err != nil {
		return "a \"[\" or a \"\\\" is not complete"
	}
	return ""
}
