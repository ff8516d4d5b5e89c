package runner

import (
	"context"
	"crypto/rand"
	"errors"
)

// writeRecord writes the next record, reads or makes the secrets through it,
// and removes the earlier ones.
func (e *executor) writeRecord(ctx context.Context) error {
	packed, err := encodeManifest(manifest{
		State: e.desired, AgentImage: e.agent.ref, Slots: e.slots, Backoff: e.backoff, Strict: e.cfg.Strict, Earlier: e.earlier,
	})
	if err != nil {
		return err
	}
	old := e.board.get().seen
	generation := int64(1)
	for i := range old.records { // those that nobody can read, too: their names are taken
		generation = max(generation, int64(number(old.records[i].Labels, labelGeneration))+1)
	}
	id, err := e.eng().CreateContainer(ctx, recordSpec(e.hands.id, e.desired.Prefix(), e.agent.ref, generation, packed))
	if err != nil {
		return err
	}
	s, err := e.prepareSecrets(ctx, id)
	if err != nil {
		return errors.Join(err, e.eng().RemoveContainer(ctx, id))
	}
	if err := e.call(ctx, func() { e.loop.secrets = s }); err != nil {
		return err
	}
	for _, r := range old.records {
		if err := e.eng().RemoveContainer(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// prepareSecrets resolves the secrets of the new state. The vault is read
// through the container, unless it is known from before: nobody else writes it.
func (e *executor) prepareSecrets(ctx context.Context, container string) (*secrets, error) {
	var known *secrets
	if err := e.call(ctx, func() { known = e.loop.secrets }); err != nil {
		return nil, err
	}
	if known == nil {
		v, err := readVault(ctx, e.eng(), container)
		if err != nil {
			return nil, err
		}
		known = &secrets{vault: v}
	}
	s, changed, err := resolveSecrets(e.state.Secrets, known.vault, e.cfg.Secrets, rand.Reader)
	if err == nil || tolerable(err) == nil {
		if cerr := e.call(ctx, func() {
			if err != nil && !e.loop.fresh {
				e.problem("", err.Error())
				err = nil
			}
		}); cerr != nil {
			return nil, cerr
		}
	}
	if err != nil {
		return nil, err
	}
	if changed {
		err = writeVault(ctx, e.eng(), container, s.vault)
	}
	return s, err
}
