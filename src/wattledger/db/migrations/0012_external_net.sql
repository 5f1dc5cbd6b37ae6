-- What was taken elsewhere, where the sender named no more than the amount without tax.
ALTER TABLE external_payment ADD COLUMN without_tax boolean NOT NULL DEFAULT false;
