//! What a simulator reads: which outputs count, their values, the events they have emitted.

use std::collections::BTreeSet;

use super::Coupling;
use super::entities::{Emitted, Readings};
use super::error::CoupleError;
use super::step::output_error;
use crate::rpc::CallError;

impl Coupling {
    /// The positions of an entity and one of its outputs, for [`read`](Coupling::read).
    ///
    /// # Errors
    /// When there is no such entity or output.
    pub fn locate(&self, eid: &str, port: &str) -> Result<(usize, usize), CoupleError> {
        let position = self.entity(eid).ok_or_else(|| CoupleError::Entity(eid.into()))?;
        let model = self.entities[position].vtable.model;
        let Some(number) = model.output(port) else {
            let known = model.outputs.iter().map(|output| output.name).collect::<Vec<_>>().join(", ");
            let (eid, port) = (eid.into(), port.into());
            return Err(CoupleError::Port { eid, model: model.name, direction: "output", port, known });
        };
        Ok((position, number))
    }

    /// Takes the events that these outputs, which must be connected, have emitted and nobody has read: in the order of their
    /// times, then as asked for. What agents have emitted while they ran [ahead](super::Mode::Ahead) belongs to a later step.
    ///
    /// # Errors
    /// When an output cannot be read.
    pub fn take_events(&mut self, ports: &[(usize, usize)]) -> Result<Vec<Emitted>, CoupleError> {
        let kernel = self.container.kernel();
        let mut events = Vec::new();
        for (position, port) in ports.iter().filter(|_| !self.held) {
            let entity = &mut self.entities[*position];
            entity.take_events(kernel, *port, &mut events).map_err(|error| output_error(entity, error))?;
        }
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    /// Says which outputs the simulator reads after each step: these and no others show in [`Mode::Ahead`](super::Mode::Ahead). Until it is
    /// said, or until a step has passed without a read, all of them count. Events are told if they are emitted, and taken, while
    /// their output is connected.
    pub fn connect(&mut self, outputs: &[(usize, usize)]) {
        self.told = true;
        self.watches = None;
        let mut by_entity = vec![BTreeSet::new(); self.entities.len()];
        for (position, port) in outputs {
            by_entity[*position].insert(*port);
        }
        let kernel = self.container.kernel();
        for (entity, outputs) in self.entities.iter_mut().zip(&by_entity) {
            // what was emitted before is nobody's; what cannot be read is told when it is asked for
            let _ = entity.forget_unread(kernel);
            entity.connect(outputs);
        }
    }

    /// Whether [`connect`](Coupling::connect) has been called.
    pub fn is_connected(&self) -> bool {
        self.told
    }

    /// Reads outputs, each as (entity, port) by the positions that [`locate`](Coupling::locate) gave.
    ///
    /// # Errors
    /// When a value cannot be read, or stamps differ.
    pub fn read(&mut self, ports: &[(usize, usize)]) -> Result<Readings, CoupleError> {
        let kernel = self.container.kernel();
        let mut readings = Readings::default();
        for (position, port) in ports {
            self.reads += 1;
            let entity = &mut self.entities[*position];
            let name = entity.vtable.model.outputs[*port].name;
            let (value, stamp) = match entity.read(kernel, *port, self.held) {
                Ok(read) => read,
                Err(error) => {
                    return Err(CoupleError::Output { eid: entity.eid.clone(), port: name.into(), error });
                }
            };
            if let (Some(old), Some(new)) = (readings.stamp, stamp)
                && old != new
            {
                let text = format!(
                    "stamped for {new}, another output of this step for {old}; a simulator takes one"
                );
                let error = CallError::new("ValueError", text);
                return Err(CoupleError::Output { eid: entity.eid.clone(), port: name.into(), error });
            }
            readings.stamp = readings.stamp.or(stamp);
            if let Some(value) = value {
                readings.values.push((entity.eid.clone(), name.into(), value));
            }
        }
        Ok(readings)
    }
}
